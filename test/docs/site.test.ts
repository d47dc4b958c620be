/** Every page of the built site in a real Chromium: no errors, no dead links, readable at three widths, light and dark. */

import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PAGES, readDocument } from './markdown.ts'
import type { Site } from './site.ts'
import { BROWSER, HAS_CHROMIUM, startSite } from './site.ts'

const WIDTHS = [1280, 768, 360]
const MOVED = JSON.parse(readDocument('docs/moved.json')) as Readonly<Record<string, string>>

let site: Site
let browser: Browser
const problems: string[] = []

async function open(path: string, colorScheme: 'light' | 'dark', width = 1280): Promise<Page> {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce' })
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`${path}: ${message.text()}`)
  })
  page.on('pageerror', (error) => problems.push(`${path}: ${error.message}`))
  page.on('requestfailed', (request) => problems.push(`${path}: ${request.url()} failed`))
  page.on('request', (request) => {
    if (!request.url().startsWith(site.address)) problems.push(`${path}: ${request.url()} is another host`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) problems.push(`${path}: ${response.url()} ${response.status()}`)
  })
  await page.goto(`${site.address}${path}`, { waitUntil: 'load' })
  await page.waitForFunction('document.querySelector("#app")?.__vue_app__ !== undefined')
  return page
}

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[]
}

/** What axe calls serious or critical. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.addScriptTag({ content: axe.source })
  const found = (await page.evaluate('axe.run().then(({ violations }) => violations)')) as readonly Violation[]
  return found
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id} ×${nodes.length}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`)
}

/** The widest elements of a page that is wider than its window. */
async function overflow(page: Page): Promise<readonly string[]> {
  return (await page.evaluate(`(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    if (scrollWidth <= clientWidth) return []
    return [...document.querySelectorAll('main *')]
      .filter((each) => each.getBoundingClientRect().right > clientWidth)
      .slice(0, 3).map((each) => scrollWidth + ' > ' + clientWidth + ': ' + each.outerHTML.slice(0, 120))
  })()`)) as readonly string[]
}

describe.runIf(HAS_CHROMIUM)('the site, if chromium is installed', () => {
  beforeAll(async () => {
    site = await startSite()
    browser = await chromium.launch(BROWSER)
  })
  afterAll(async () => {
    await browser?.close()
    await site?.[Symbol.asyncDispose]()
  })

  const pages = PAGES.filter((page) => page.startsWith('docs/'))
    .map((page) => page.replace(/^docs\//, '').replace(/\.md$/, ''))
    .map((page) => (page === 'index' ? '' : page))

  it('has every page of docs, those of TypeDoc, and redirects of pages that have moved', () => {
    const api = site.pages.filter((page) => page.startsWith('reference/api/'))
    expect(site.pages.toSorted()).toEqual([...pages, ...api, ...Object.keys(MOVED)].toSorted())
    expect(api.length).toBeGreaterThan(15)
  })

  it.each(
    pages.flatMap((page) => [[page, 'light'] as const, [page, 'dark'] as const]),
  )('/%s, %s', async (path, scheme) => {
    problems.length = 0
    await using page = await open(path, scheme)
    expect(await page.title()).toMatch(/otel-token-relay$/)
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 })
      expect([width, ...(await overflow(page))]).toEqual([width])
    }
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      expect([width, ...(await violations(page))]).toEqual([width])
    }
    expect(problems).toEqual([])
  })

  it('the pages of TypeDoc have no errors either', async () => {
    problems.length = 0
    for (const path of site.pages.filter((each) => each.startsWith('reference/api/'))) {
      await using page = await open(path, 'light', 360)
      expect([path, ...(await overflow(page))]).toEqual([path])
    }
    expect(problems).toEqual([])
  })

  it.each(Object.entries(MOVED))('/%s leads to /%s', async (from, to) => {
    problems.length = 0
    const text = site.read(`${from}.html`)
    expect(text).toContain(`<link rel="canonical" href="https://otel-token-relay.github.io/otel-token-relay/${to}">`)
    expect(site.pages).toContain(to)
  })

  it.each([
    ['401', 'start/first-401'],
    ['ERR_TOKEN_AUDIENCE', 'start/first-401'],
    ['keycloak', 'guides/issuers'],
    ['TOKEN_RELAY_DESTINATIONS', 'reference/variables'],
    ['pm2', 'guides/loading'],
  ])('a search for %s finds /%s', async (query, path) => {
    problems.length = 0
    await using page = await open('', 'light')
    await page.keyboard.press('Control+k')
    await page.fill('#localsearch-input', query)
    const links = page.locator('.VPLocalSearchBox .result')
    await expect
      .poll(() => links.evaluateAll((all) => all.map((each) => each.getAttribute('href'))))
      .toContainEqual(expect.stringMatching(new RegExp(`/${path}(#|$)`)))
    expect(problems).toEqual([])
  })

  it.each([
    ['why 401', 'start/first-401'],
    ['redirect', 'start/questions'],
    ['keycloak audience', 'guides/issuers'],
    ['how do I test', 'guides/testing'],
    ['kafka', 'guides/(messages|brokers)|start/questions'],
    ['revoke after logout', 'guides/revocation'],
    ['next.js', 'guides/clients'],
    ['pool wrong user', 'start/questions'],
    ['does the token appear in logs', 'start/questions'],
    ['move from passport', 'guides/from-passport-jwt'],
    ['ERR_TOKEN_AUDIENCE', 'start/first-401|reference/errors'],
  ])('the answer to "%s" is among the first three: %s', async (query, path) => {
    await using page = await open('', 'light')
    await page.keyboard.press('Control+k')
    await page.fill('#localsearch-input', query)
    const links = page.locator('.VPLocalSearchBox .result')
    await expect
      .poll(() => links.evaluateAll((all) => all.slice(0, 3).map((each) => each.getAttribute('href'))))
      .toContainEqual(expect.stringMatching(new RegExp(`/(${path})(#|$)`)))
  })

  it('a link to a heading leads to one', () => {
    const idsOf = (text: string) => [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    const ids = new Map(pages.map((page) => [page, idsOf(site.read(`${page === '' ? 'index' : page}.html`))]))
    const dead = pages.flatMap((page) => {
      const text = site.read(`${page === '' ? 'index' : page}.html`)
      const links = [...text.slice(text.indexOf('<main')).matchAll(/href="([^":]*#[^"]+)"/g)].map(
        ([, link]) => link ?? '',
      )
      return links.filter((link) => {
        const { pathname, hash } = new URL(link, `${site.address}${page}`)
        const path = pathname.slice(new URL(site.address).pathname.length)
        return !path.startsWith('reference/api/') && !ids.get(path)?.includes(decodeURIComponent(hash.slice(1)))
      })
    })
    expect(ids.size).toBeGreaterThan(40)
    expect(dead).toEqual([])
  })

  it('llms.txt lists every page, and has each as Markdown', () => {
    const index = site.read('llms.txt')
    const listed = [...index.matchAll(/\]\(https:\/\/otel-token-relay\.github\.io\/otel-token-relay\/(\S+)\)/g)]
    const paths = listed.map(([, path]) => path ?? '')
    expect(paths.toSorted()).toEqual(
      pages
        .filter((page) => page !== '')
        .map((page) => `${page}.md`)
        .toSorted(),
    )
    for (const path of paths) expect(site.read('llms-full.txt')).toContain(site.read(path))
  })
})
