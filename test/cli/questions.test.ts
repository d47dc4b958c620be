/** The questions of `init` in a terminal, which `script` gives it. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { waitUntil } from '../support/patience.ts'
import type { Application } from './command.ts'
import { createApplication } from './command.ts'

const HAS_TERMINAL = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

let issuer: TestIssuer
let application: Application
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())
beforeEach(() => {
  application = createApplication()
})
afterEach(() => application[Symbol.dispose]())

const FILE = 'token-relay.config.mjs'

/** Answers each question once it is asked. */
async function answer(answers: readonly (readonly [question: string, keys: string])[]): Promise<number | null> {
  const program = join(application.folder, 'node_modules', 'otel-token-relay', 'dist', 'cli', 'main.js')
  const child = spawn('script', ['-qec', `stty cols 100 rows 40; ${process.execPath} ${program} init`, '/dev/null'], {
    cwd: application.folder,
    env: { PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, TERM: 'xterm' },
  })
  let seen = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    seen += text
  })
  const ended = once(child, 'close')
  for (const [question, keys] of answers) {
    await waitUntil(() => seen.includes(question))
    child.stdin.write(keys)
  }
  const [code] = (await ended) as [number | null]
  return code
}

describe.skipIf(!HAS_TERMINAL)('in a terminal, init', () => {
  it('asks for what is not given, and writes the answers', async () => {
    const code = await answer([
      ['Who issues the tokens?', `${issuer.issuer}\r`],
      ['What is this service called', 'orders\r'],
      ['Where may tokens go?', 'https://a.example, kafka:orders\r'],
      ['What happens to requests', '\r'],
    ])
    expect(code).toBe(0)
    const text = readFileSync(join(application.folder, FILE), 'utf8')
    for (const part of [`'${issuer.issuer}'`, "'orders'", "'https://a.example'", "'kafka:orders'", "'require'"]) {
      expect(text).toContain(part)
    }
  })

  it('writes nothing if it is cancelled', async () => {
    expect(await answer([['Who issues the tokens?', '\u0003']])).toBe(2)
    expect(existsSync(join(application.folder, FILE))).toBe(false)
  })
})
