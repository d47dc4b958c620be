/** The code blocks of docs/guides/loading.md: commands start a program behind the gate, and files do what the page says. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quietEnvironment } from '../package/scratch.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { LoadingFolder } from '../support/loading.ts'
import { createLoadingFolder, LOADING, PROGRAMS } from '../support/loading.ts'
import { startProgram } from '../support/process.ts'
import { Resources } from '../support/resources.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'
import { fileOf } from './blocks.ts'
import { ROOT, readBlocks, readDocument } from './markdown.ts'

const blocks = readBlocks(readDocument('docs/guides/loading.md'))
const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.trim().split('\n'))
const resolve = createRequire(join(LOADING, 'package.json')).resolve

function block(file: string): string {
  return fileOf(file).text
}

const resources = new Resources()
let place: LoadingFolder
let issuer: TestIssuer
let sink: Sink
let endpoint: TokenEndpoint
let env: Record<string, string>
beforeAll(async () => {
  issuer = resources.use(await startIssuer())
  sink = resources.use(await startSink())
  endpoint = resources.use(await startTokenEndpoint(issuer))
  place = createLoadingFolder()
  const program = readFileSync(join(PROGRAMS, 'service.ts'), 'utf8')
  place.write('app.ts', program)
  const build = [resolve('esbuild/bin/esbuild'), 'app.ts', '--format=cjs', '--outfile=app.js', '--log-level=error']
  spawnSync(build[0] ?? '', build.slice(1), { cwd: place.folder })
  env = quietEnvironment({
    PATH: [join(process.execPath, '..'), join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter),
    SINK: sink.origin,
    TOKEN_RELAY_ISSUER: issuer.issuer,
    TOKEN_RELAY_AUDIENCE: 'user-service',
  })
})
afterAll(async () => {
  place[Symbol.dispose]()
  await resources[Symbol.asyncDispose]()
})

async function statuses(port: number): Promise<readonly number[]> {
  const url = `http://127.0.0.1:${port}/`
  const headers = { authorization: `Bearer ${await issuer.token()}` }
  return [(await fetch(url)).status, (await fetch(url, { headers })).status]
}

it.each(commands.filter((command) => !command.startsWith('npx')))('%s', async (command) => {
  const child = spawn('sh', ['-c', `exec env ${command}`], {
    cwd: place.folder,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'close')
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('{')) continue
      expect(await statuses((JSON.parse(line) as { readonly port: number }).port)).toEqual([401, 200])
      return
    }
    throw new Error('the program has ended')
  } finally {
    child.kill('SIGTERM')
    await ended
  }
})

it.each(commands.filter((command) => command.startsWith('npx')))('%s', async (command) => {
  const { status } = spawnSync('sh', ['-c', command.slice('npx '.length)], { cwd: place.folder, env })
  expect(status).toBe(0)
  place.write('programs/app.cjs', readFileSync(join(place.folder, 'app.cjs'), 'utf8'))
  await using program = startProgram('app.cjs', {
    folder: place.folder,
    preload: ['--require', 'otel-token-relay/register'],
    env,
  })
  expect(await statuses(await program.report<number>('port'))).toEqual([401, 200])
})

it.each([
  ['before', [], false],
  ['with the keys of the relay that is preloaded', ['--require', 'otel-token-relay/register'], true],
])('ready.mjs: %s', async (_, preload, isReady) => {
  place.write('ready.mjs', block('ready.mjs'))
  const lines = [
    "import { getActiveRelay } from 'otel-token-relay'",
    "import { isReady } from '../ready.mjs'",
    'await getActiveRelay()?.hydrate()',
    'console.log(JSON.stringify({ isReady: isReady() }))',
  ]
  place.write('programs/ready.mjs', lines.join('\n'))
  await using program = startProgram('ready.mjs', { folder: place.folder, preload, env })
  expect(await program.report('isReady')).toBe(isReady)
})

it('ecosystem.config.cjs', async () => {
  const path = place.write('ecosystem.config.cjs', block('ecosystem.config.cjs'))
  const { apps } = createRequire(path)(path) as { readonly apps: readonly object[] }
  place.write('programs/pm2.cjs', readFileSync(join(PROGRAMS, 'pm2.cjs'), 'utf8'))
  const app = { ...apps[0], script: join(PROGRAMS, 'clustered.cjs') }
  const home = { HOME: place.folder, PM2_HOME: join(place.folder, '.pm2') }
  await using program = startProgram('pm2.cjs', {
    folder: place.folder,
    env: { ...env, ...home, APP: JSON.stringify(app) },
  })
  expect(await statuses(await program.report<number>('port'))).toEqual([401, 200])
  await program.stop()
})

it('service.test.js', async () => {
  place.write('service.test.js', block('service.test.js'))
  const jest = join(dirname(resolve('jest/package.json')), 'bin', 'jest.js')
  const child = spawn(process.execPath, [jest, '--ci', '--no-watchman', '--rootDir', place.folder], {
    cwd: place.folder,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  await once(child, 'close')
  expect(stderr).toMatch(/^Tests: +1 passed, 1 total$/m)
})

describe('gateway.mjs', () => {
  const preload = ['--require', 'otel-token-relay/register']

  function gatewayWith(subgraphs: readonly string[]): string {
    return block('gateway.mjs')
      .replace('http://localhost:4001/graphql', subgraphs[0] ?? '')
      .replace('http://localhost:4002/graphql', subgraphs[1] ?? '')
      .replace('port: 4000', "port: 0, host: '127.0.0.1'")
      .replace('console.log(url)', 'console.log(JSON.stringify({ url }))')
  }

  async function run(gateway: (text: string) => string): Promise<unknown> {
    await using started = new Resources()
    const urls: string[] = []
    for (const name of ['subgraph-apollo.mjs', 'subgraph-yoga.mjs']) {
      place.write(`programs/${name}`, readFileSync(join(PROGRAMS, name), 'utf8'))
      const subgraph = started.use(startProgram(name, { folder: place.folder, preload, env }))
      urls.push(await subgraph.report<string>('url'))
    }
    place.write('programs/gateway.mjs', gateway(gatewayWith(urls)))
    const options = {
      issuers: [
        {
          issuer: issuer.issuer,
          audience: 'user-service',
          exchange: { tokenEndpoint: endpoint.url, clientId: 'gateway', clientSecret: 'a secret of the gateway' },
        },
      ],
      destinations: urls.map((url) => ({ to: new URL(url).origin })),
    }
    const { TOKEN_RELAY_ISSUER: _, TOKEN_RELAY_AUDIENCE: __, ...others } = env
    const file = place.write('gateway.json', JSON.stringify(options))
    const program = started.use(
      startProgram('gateway.mjs', {
        folder: place.folder,
        preload,
        env: { ...others, TOKEN_RELAY_CONFIG_FILE: file },
      }),
    )
    const response = await fetch(await program.report<string>('url'), {
      method: 'POST',
      headers: { authorization: `Bearer ${await issuer.token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ me { id reviewsFor } callers }' }),
    })
    return response.json()
  }

  it('asks the subgraphs for their schemas as itself, and for data as the caller', async () => {
    const answer = await run((text) => text)
    expect(answer).toEqual({ data: { me: { id: 'alice', reviewsFor: 'alice' }, callers: ['service', 'alice'] } })
  })

  it('does not start without its own token', async () => {
    const withoutToken = (text: string): string => text.replace(/runAs\(ownTokens, (.*)\)$/m, '($1)()')
    await expect(run(withoutToken)).rejects.toThrow(/401/)
  })
})
