/** Where the blocks of the pages run: their files in a folder, and servers of this test in place of the example hosts. */

import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import process from 'node:process'
import { expect } from 'vitest'
import type { Scratch } from '../package/scratch.ts'
import { createScratch, quietEnvironment } from '../package/scratch.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { complaintsIn } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'
import type { PageBlock } from './blocks.ts'
import { BLOCKS, isFile } from './blocks.ts'

interface Running extends AsyncDisposable {
  readonly output: () => string
}

export interface Stage extends AsyncDisposable {
  /** `https://id.example.com`. */
  readonly issuer: TestIssuer
  /** Where the blocks get exchanged tokens. */
  readonly endpoint: TokenEndpoint
  /** `https://profile.internal.example`. */
  readonly profiles: Sink
  /** `https://billing.internal.example`. */
  readonly billing: Sink
  /** In place of 8080. */
  readonly port: number
  /** The files of all pages as they stand, except the port. */
  readonly asItStands: Scratch
  /** The files of all pages, with servers of this test in place of the example hosts. */
  readonly local: Scratch
  /** `text` with servers of this test in place of the example hosts. */
  localized(text: string): string
  /** Runs `command` in a shell and resolves when it listens. */
  start(command: string, folder: string): Promise<Running>
  /** A request to the server that was started. */
  get(path: string, token?: string): Promise<Response>
  /**
   * Runs `text` as an ES module beside the blocks, and returns what it prints as JSON. What it says on standard error
   * is `complaints`.
   */
  drive(
    text: string,
    nodeOptions: readonly string[],
    env: Readonly<Record<string, string>>,
    complaints?: readonly unknown[],
  ): Promise<unknown>
}

export async function createStage(blocks: readonly PageBlock[] = BLOCKS): Promise<Stage> {
  const issuer = await startIssuer()
  const endpoint = await startTokenEndpoint(issuer)
  const [profiles, billing] = [await startSink(), await startSink()]
  const placeholder = createServer()
  const port = await listen(placeholder)
  await close(placeholder)

  const localized = (text: string): string =>
    text
      .replaceAll('8080', String(port))
      .replaceAll('https://id.example.com', issuer.issuer)
      .replaceAll('https://profile.internal.example', profiles.origin)
      .replaceAll('https://billing.internal.example', billing.origin)
      .replaceAll("clientId: 'user-service'", `clientId: 'user-service', tokenEndpoint: '${endpoint.url}'`)
      // This machine may be busier than any that Redis should be given up for.
      .replaceAll(/(createRedis(?:TokenCache|ReplayWindow))\(\{ client \}\)/g, '$1({ client, timeoutMillis: 30_000 })')

  const files = blocks.filter(isFile).map(({ file, text }) => [file ?? '', text] as const)
  const [asItStands, local] = [createScratch(), createScratch()]
  asItStands.write(Object.fromEntries(files.map(([file, text]) => [file, text.replaceAll('8080', String(port))])))
  local.write(Object.fromEntries(files.map(([file, text]) => [file, localized(text)])))

  const get = (path: string, token?: string): Promise<Response> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return fetch(`http://127.0.0.1:${port}${path}`, { headers })
  }
  return {
    ...{ issuer, endpoint, profiles, billing, port, asItStands, local, localized, get },
    start: (command, folder) => start(command, folder, () => get('/')),
    drive: (text, nodeOptions, env, complaints = []) => drive(local, { text, nodeOptions, env, complaints }),
    async [Symbol.asyncDispose]() {
      asItStands[Symbol.dispose]()
      local[Symbol.dispose]()
      await Promise.all([issuer, endpoint, profiles, billing].map((resource) => resource[Symbol.asyncDispose]()))
    },
  }
}

async function start(command: string, folder: string, ask: () => Promise<unknown>): Promise<Running> {
  // In its own process group, because a shell may or may not replace itself with its last command.
  const child = spawn('sh', ['-c', command], { cwd: folder, env: quietEnvironment(), detached: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  const running = {
    output: () => output,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      process.kill(-(child.pid ?? 0), 'SIGKILL')
      await once(child, 'close')
    },
  }
  await untilItListens(child, ask).catch(async (error: unknown) => {
    await running[Symbol.asyncDispose]()
    throw new Error(`${command} does not listen:\n${output}`, { cause: error })
  })
  return running
}

async function untilItListens(child: ChildProcessWithoutNullStreams, ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 120_000
  while (child.exitCode === null && Date.now() < deadline) {
    try {
      await ask()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  throw new Error(`exit code ${child.exitCode}`)
}

interface Driver {
  readonly text: string
  readonly nodeOptions: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly complaints: readonly unknown[]
}

async function drive(local: Scratch, { text, nodeOptions, env, complaints }: Driver): Promise<unknown> {
  local.write({ 'driver.mjs': text })
  const child = spawn(
    process.execPath,
    ['--disable-warning=MODULE_TYPELESS_PACKAGE_JSON', ...nodeOptions, 'driver.mjs'],
    { cwd: local.folder, env: quietEnvironment(env) },
  )
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      output[name] += chunk
    })
  }
  await once(child, 'close')
  expect(complaintsIn(output.stderr)).toEqual(complaints)
  return JSON.parse(output.stdout) as unknown
}
