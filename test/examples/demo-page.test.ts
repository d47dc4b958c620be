/** The page of `npm run demo -- --serve`, in a real Chromium: on a phone, in the dark, and after the demo has ended. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'
import { createInterface } from 'node:readline'
import type { Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { expect, it } from 'vitest'
import { ROOT } from '../docs/markdown.ts'
import { BROWSER, HAS_CHROMIUM } from '../docs/site.ts'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

interface Demo extends AsyncDisposable {
  readonly url: string
  end(): Promise<void>
}

async function startDemo(): Promise<Demo> {
  const child = spawn(process.execPath, ['examples/demo/main.ts', '--serve'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  const lines = createInterface({ input: child.stdout })
  const url = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => {
      const found = /^Traces: (http\S+)/.exec(line)?.[1]
      if (found !== undefined) resolve(found)
    })
    lines.once('close', () => reject(new Error('the demo has ended')))
  })
  return { url, end, [Symbol.asyncDispose]: end }
}

/** Violations of accessibility that are serious or worse. */
async function violationsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(readFileSync(AXE, 'utf8'))
  const found = await page.evaluate('axe.run({ resultTypes: ["violations"] })')
  const { violations } = found as { violations: readonly { readonly id: string; readonly impact: string }[] }
  return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).map(({ id }) => id)
}

it.runIf(HAS_CHROMIUM)('fits a phone, is dark in the dark, and says when the demo has ended', async () => {
  await using demo = await startDemo()
  const browser = await chromium.launch(BROWSER)
  try {
    const context = await browser.newContext({
      viewport: { width: 390, height: 800 },
      colorScheme: 'dark',
      bypassCSP: true,
    })
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(demo.url)
    await page.locator('.withheld').first().waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    expect(await page.locator('main').innerText()).toContain('not_named')
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(13, 17, 23)')
    expect(await violationsOf(page)).toEqual([])
    await page.emulateMedia({ colorScheme: 'light' })
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)')
    expect(await violationsOf(page)).toEqual([])
    expect(await page.locator('#ended').isVisible()).toBe(false)
    await demo.end()
    await page.locator('#ended').waitFor()
    expect(await page.locator('#ended').innerText()).toContain('The demo has ended')
    expect(await page.locator('main').innerText()).toContain('not_named')
    expect(complaints).toEqual([])
  } finally {
    await browser.close()
  }
})
