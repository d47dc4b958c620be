/** Every code block of the README runs: commands, programs, configuration. */

import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createScratch, PACKED, quietEnvironment } from '../package/scratch.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { complaintsIn } from '../support/process.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'
import type { Block } from './markdown.ts'
import { ROOT, readBlocks, readDocument } from './markdown.ts'

const blocks = readBlocks(readDocument('README.md'))
const manifest = JSON.parse(readDocument('package.json')) as {
  readonly name: string
  readonly scripts: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

type Kind = 'script' | 'install' | 'server' | 'tool'

/** Which of the tests below runs `command`. */
function kindOf(command: string): Kind {
  if (/^npm ci && npm (run \S+|test)$/.test(command)) return 'script'
  if (/^npm install( @?[\w/-]+)+$/.test(command)) return 'install'
  if (/^([A-Z_]+=\S+ )*node --(require|import) \S+ \S+$/.test(command)) return 'server'
  if (/^node \w+\.mjs$/.test(command)) return 'server'
  if (/^npx otel-token-relay audit verify( [\w./-]+)+$/.test(command)) return 'tool'
  throw new Error(`no test runs the command: ${command}`)
}

/** The commands of a block, each on one line. */
function commandsOf({ text }: Block): readonly string[] {
  return text
    .replaceAll(/ *\\\n */g, ' ')
    .split('\n')
    .filter((line) => line !== '')
}

function isProgram({ language }: Block): boolean {
  return ['js', 'ts', 'json'].includes(language)
}

/** Complaints about blocks that none of the tests below runs. */
function unrunnable(all: readonly Block[]): readonly string[] {
  return all.flatMap((block) => {
    if (block.language === 'text') return []
    if (block.language === 'sh') {
      for (const command of commandsOf(block)) kindOf(command)
      return []
    }
    if (!isProgram(block)) return [`no runner for the language "${block.language}"`]
    if (block.file === undefined) return [`a block of ${block.language} has no file name`]
    return RUN.includes(block.file) ? [] : [`no test runs ${block.file}`]
  })
}

/** The files that the tests below run, by their names in the README. */
const RUN = [
  'app.js',
  'relay.json',
  'tracing.mjs',
  'express.mjs',
  'caller.ts',
  'message.mjs',
  'logout.mjs',
  'relay.config.mjs',
  'destinations.mjs',
  'profiles.ts',
  'exchange.mjs',
  'sealing.config.mjs',
  'fleet.config.mjs',
  'orders.mjs',
  'shipping.mjs',
  'async.mjs',
  'gallery.mjs',
  'thumbnails.mjs',
  'audited.config.mjs',
  'canary.mjs',
]
const commands = blocks.filter(({ language }) => language === 'sh').flatMap(commandsOf)

function commandsOfKind(kind: Kind): readonly string[] {
  const found = commands.filter((command) => kindOf(command) === kind)
  if (found.length === 0) throw new Error(`the README has no ${kind} command`)
  return found
}

const asItStands = createScratch()
const local = createScratch()
let issuer: TestIssuer
let endpoint: TokenEndpoint
let profiles: Sink
let billing: Sink
let port: number

/** Puts servers of this test where the README has names of example hosts. */
function localized(text: string): string {
  return (
    text
      .replaceAll('https://id.example.com', issuer.issuer)
      .replaceAll('https://profile.internal.example', profiles.origin)
      .replaceAll('https://billing.internal.example', billing.origin)
      .replaceAll("clientId: 'user-service'", `clientId: 'user-service', tokenEndpoint: '${endpoint.url}'`)
      // This machine may be busier than any that Redis should be given up for.
      .replaceAll(/(createRedis(?:TokenCache|ReplayWindow))\(\{ client \}\)/g, '$1({ client, timeoutMillis: 30_000 })')
  )
}

beforeAll(async () => {
  issuer = await startIssuer()
  endpoint = await startTokenEndpoint(issuer)
  profiles = await startSink()
  billing = await startSink()
  const placeholder = createServer()
  port = await listen(placeholder)
  await close(placeholder)

  const files = blocks.filter(isProgram).map(({ file, text }) => [file ?? '', text.replaceAll('8080', String(port))])
  asItStands.write(Object.fromEntries(files))
  local.write(Object.fromEntries(files.map(([file = '', text = '']) => [file, localized(text)])))
})
afterAll(async () => {
  asItStands[Symbol.dispose]()
  local[Symbol.dispose]()
  await Promise.all([issuer, endpoint, profiles, billing].map((resource) => resource[Symbol.asyncDispose]()))
})

interface Running extends AsyncDisposable {
  readonly output: () => string
}

/** Runs `command` in a shell and resolves when it listens. */
async function start(command: string, folder: string): Promise<Running> {
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
  await untilItListens(child).catch(async (error: unknown) => {
    await running[Symbol.asyncDispose]()
    throw new Error(`${command} does not listen:\n${output}`, { cause: error })
  })
  return running
}

async function untilItListens(child: ChildProcessWithoutNullStreams): Promise<void> {
  const deadline = Date.now() + 30_000
  while (child.exitCode === null && Date.now() < deadline) {
    try {
      await get('/')
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  throw new Error(`exit code ${child.exitCode}`)
}

async function get(path: string, token?: string): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return fetch(`http://127.0.0.1:${port}${path}`, { headers })
}

/** Runs `text` as an ES module beside the blocks, and returns what it prints as JSON. */
async function drive(
  text: string,
  nodeOptions: readonly string[],
  env: Record<string, string>,
  complaints: readonly unknown[] = [],
): Promise<unknown> {
  local.write({ 'driver.mjs': text })
  const child = spawn(
    process.execPath,
    ['--disable-warning=MODULE_TYPELESS_PACKAGE_JSON', ...nodeOptions, 'driver.mjs'],
    {
      cwd: local.folder,
      env: quietEnvironment(env),
    },
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

describe('the README', () => {
  it('runs every code block', () => {
    expect(unrunnable(blocks)).toEqual([])
    expect(blocks.flatMap(({ file }) => file ?? []).toSorted()).toEqual(RUN.toSorted())
  })

  it.each(commandsOfKind('script'))('%s: the script exists, and so do the files that it names', (command) => {
    const script = manifest.scripts[/npm (?:run )?(\S+)$/.exec(command)?.[1] ?? '']
    expect(script).toBeDefined()
    const files = script?.match(/[\w./-]+\.(?:ts|js|mjs|json)\b/g) ?? []
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  })

  it('installs the package and its peers, and nothing else', () => {
    const installed = commandsOfKind('install').flatMap((command) => command.split(' ').slice(2))
    const peers = Object.keys(manifest.peerDependencies).filter((name) => name.startsWith('@opentelemetry/'))
    expect(installed.toSorted()).toEqual([manifest.name, ...peers].toSorted())
  })

  it.each(commandsOfKind('server'))('%s: refuses a request without a token, as it stands', async (command) => {
    await using running = await start(command, asItStands.folder)
    const response = await get('/')
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect(complaintsIn(running.output())).toEqual([])
  })

  it.each(commandsOfKind('server'))('%s: verifies and forwards, with servers on this machine', async (command) => {
    await using running = await start(localized(command), local.folder)
    profiles.clear()
    const token = await issuer.token()

    expect((await get('/', await issuer.token({ aud: 'another' }))).status).toBe(401)
    expect(profiles.received).toEqual([])
    const response = await get('/', token)
    expect([response.status, await response.text()]).toEqual([200, '{}'])
    expect(profiles.received).toMatchObject([{ target: '/profiles/me', authorization: [`Bearer ${token}`] }])
    expect(complaintsIn(running.output())).toEqual([])
  })

  it('express.mjs: opens one path, requires a scope for one, and a caller for all others', async () => {
    await using running = await start('node express.mjs', local.folder)
    expect(await (await get('/health')).text()).toBe('open to all')
    expect(await (await get('/me', await issuer.token())).text()).toBe('alice')
    const refused = await get('/me', await issuer.token({ scope: 'invoices:read' }))
    const challenge = 'Bearer error="insufficient_scope", scope="profiles:read"'
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([403, challenge])
    expect((await get('/unknown')).status).toBe(401)
    expect(complaintsIn(running.output())).toEqual([])
  })

  it('caller.ts does what its comments say', async () => {
    profiles.clear()
    const token = await issuer.token()
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      import { caller, orderHeaders, runJob } from './caller.ts'
      const token = process.env.TOKEN
      const outside = { caller: caller() ?? null, headers: orderHeaders() }
      const job = await runJob(token)
      const inside = await runWithToken(token, () => ({ caller: caller(), headers: orderHeaders() }))
      console.log(JSON.stringify({ outside, job, inside }))
      process.exit()`
    const env = { TOKEN: token, TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
    expect(await drive(driver, ['--import', 'otel-token-relay/register'], env)).toEqual({
      outside: { caller: null, headers: {} },
      job: 200,
      inside: { caller: 'alice', headers: expect.objectContaining({ authorization: `Bearer ${token}` }) },
    })
    expect(profiles.received).toMatchObject([{ target: '/jobs', authorization: [`Bearer ${token}`] }])
  })

  it.each(['caller.ts', 'profiles.ts'])('%s has no type errors', (file) => {
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
    const options = '--noEmit --strict --module nodenext --target es2023 --types node --ignoreConfig'.split(' ')
    const { stdout, status } = spawnSync(tsc, [...options, file], {
      cwd: local.folder,
      env: quietEnvironment(),
      encoding: 'utf8',
    })
    expect([stdout, status]).toEqual(['', 0])
  })

  it('profiles.ts calls as the caller, and falls back', async () => {
    profiles.clear()
    const token = await issuer.token()
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      import { rename } from './profiles.ts'
      const { signal } = new AbortController()
      console.log(JSON.stringify(await runWithToken(process.env.TOKEN, () => rename('a/b', 'Ada', signal))))
      process.exit()`
    const env = { TOKEN: token, TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
    // The sink answers with no profile.
    expect(await drive(driver, ['--import', 'otel-token-relay/register'], env)).toBe('unknown')
    const authorization = [`Bearer ${token}`]
    expect(profiles.received).toMatchObject([
      { method: 'PUT', target: '/profiles/a%2Fb', authorization },
      { method: 'GET', target: '/profiles/a%2Fb', authorization },
    ])
  })

  it('async.mjs: callers that share things keep their own calls, and a batch of several has no caller', async () => {
    profiles.clear()
    const tokens = await Promise.all(['alice', 'bob'].map((sub) => issuer.token({ sub })))
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      import './tracing.mjs'
      import { profiles, queue, sendViews, view } from './async.mjs'
      const tokens = JSON.parse(process.env.TOKENS)
      const asAll = (fn) => Promise.all(tokens.map((token, i) => runWithToken(token, () => fn(i))))
      await asAll(async (i) => {
        await queue.add(() => profiles().load(i))
        view(i)
      })
      const both = await sendViews()
      const mine = await runWithToken(tokens[0], async () => {
        view(2)
        return sendViews()
      })
      console.log(JSON.stringify([both, mine]))
      process.exit()`
    expect(await drive(driver, [], { TOKENS: JSON.stringify(tokens) })).toEqual([200, 200])
    const sent = profiles.received.map(({ target, authorization }) => [target, authorization[0]?.split(' ')[1]])
    expect(sent.slice(0, 2).toSorted()).toEqual(tokens.map((token, i) => [`/profiles/${i}`, token]))
    expect(sent.slice(2)).toEqual([
      ['/views', undefined],
      ['/views', tokens[0]],
    ])
  })

  it('message.mjs does what its comment says', async () => {
    const driver = `
      import { senderOf } from './message.mjs'
      const good = await senderOf(process.env.TOKEN)
      const bad = (await senderOf('not a token')) ?? null
      console.log(JSON.stringify({ good, bad }))
      process.exit()`
    expect(await drive(driver, [], { TOKEN: await issuer.token() })).toEqual({ good: 'alice', bad: null })
  })

  it('destinations.mjs lists where callers went, while nothing is sent', async () => {
    profiles.clear()
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      import { relay } from './tracing.mjs'
      import { seenDestinations } from './destinations.mjs'
      const call = (url) => runWithToken(process.env.TOKEN, () => fetch(url).then((response) => response.text()))
      await call(process.env.PROFILES)
      await call(process.env.PROFILES)
      await call(process.env.OTHER)
      console.log(JSON.stringify([relay.explain(process.env.PROFILES), seenDestinations()]))
      process.exit()`
    const other = profiles.origin.replace('127.0.0.1', 'localhost')
    const env = { TOKEN: await issuer.token(), PROFILES: profiles.origin, OTHER: other }
    const tracing = readFileSync(join(local.folder, 'tracing.mjs'), 'utf8')
    local.write({
      'tracing.mjs': tracing.replace('createTokenRelay({', "createTokenRelay({ egress: { mode: 'report' },"),
    })
    const [explanation, seen] = (await drive(driver, [], env).finally(() =>
      local.write({ 'tracing.mjs': tracing }),
    )) as [unknown, unknown]
    expect(explanation).toMatchObject({ rule: profiles.origin, verdict: 'withhold', reason: 'report_only' })
    expect(seen).toEqual([{ to: profiles.origin }, { to: other }])
    expect(profiles.received.flatMap(({ authorization }) => authorization)).toEqual([])
  })

  it('logout.mjs does what its comment says', async () => {
    const driver = `
      import { relay } from './tracing.mjs'
      import { endSession } from './logout.mjs'
      const before = (await relay.verify(process.env.TOKEN)).sessionId
      await endSession(process.env.ISSUER, before)
      const after = await relay.verify(process.env.TOKEN).catch((error) => error.code)
      console.log(JSON.stringify([before, after]))
      process.exit()`
    const TOKEN = await issuer.token({ sid: 'session-1' })
    expect(await drive(driver, [], { TOKEN, ISSUER: issuer.issuer })).toEqual(['session-1', 'ERR_TOKEN_REVOKED'])
  })

  it.runIf(HAS_REDIS)('relay.config.mjs is a configuration with a shared list', async () => {
    await using redis = await startRedis()
    const driver = `
      import { createTokenRelay } from 'otel-token-relay'
      import options from './relay.config.mjs'
      const relay = createTokenRelay(options)
      while (!relay.ready()) await new Promise((resolve) => setTimeout(resolve, 10))
      const credential = await relay.verify(process.env.TOKEN)
      await relay.revoke(credential)
      console.log(JSON.stringify(await relay.verify(process.env.TOKEN).catch((error) => error.code)))
      process.exit()`
    const TOKEN = await issuer.token({ jti: 'token-1' })
    expect(await drive(driver, [], { TOKEN, REDIS_URL: redis.url })).toBe('ERR_TOKEN_REVOKED')
  })

  it('exchange.mjs does what its comments say', async () => {
    for (const sink of [profiles, billing]) sink.clear()
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      import { canBill, follow, nightly } from './exchange.mjs'
      const billable = await runWithToken(process.env.TOKEN, async () => {
        const billable = await canBill()
        await fetch(process.env.BILLING).then((response) => response.text())
        await follow().then((response) => response.text())
        return billable
      })
      await nightly().then((response) => response.text())
      console.log(JSON.stringify([billable, await canBill()]))
      process.exit()`
    const token = await issuer.token()
    const env = { TOKEN: token, BILLING: billing.origin, CLIENT_SECRET: 'secret' }
    expect(await drive(driver, [], env)).toEqual([true, true])
    const tokens = [...billing.received, ...profiles.received].map(
      ({ authorization }) => authorization[0]?.slice(7) ?? '',
    )
    expect(tokens.map((text) => decodeJwt(text))).toMatchObject([
      { sub: 'alice', aud: 'billing', scope: 'invoices:read' },
      { sub: 'alice', aud: 'user-service' },
      { sub: 'service', aud: 'user-service' },
    ])
    expect(tokens[1]).toBe(token)
    expect(endpoint.requests.map(({ parameters }) => parameters.get('audience'))).toEqual(['billing', 'user-service'])
  })

  it('orders.mjs handles a message of sealing.config.mjs as its sender, once', async () => {
    const driver = `
      import { createTokenRelay, runWithToken } from 'otel-token-relay'
      import { propagation } from '@opentelemetry/api'
      import { writeFileSync } from 'node:fs'
      import options from './sealing.config.mjs'
      const [key] = options.sealing.keys
      key.secretFile = 'orders-2'
      writeFileSync(key.secretFile, crypto.getRandomValues(Buffer.alloc(32)).toString('base64url') + '\\n')
      propagation.setGlobalPropagator(createTokenRelay(options).propagator)
      const { orderHeaders } = await import('./caller.ts')
      const { handleOrder } = await import('./orders.mjs')
      const headers = await runWithToken(process.env.TOKEN, () => orderHeaders())
      const subject = await handleOrder({ headers })
      const again = await handleOrder({ headers: { ...headers } }).catch((error) => error.name)
      console.log(JSON.stringify([headers.authorization.slice(0, 8), subject, again]))
      process.exit()`
    expect(await drive(driver, [], { TOKEN: await issuer.token() })).toEqual(['Sealed e', 'alice', 'SealError'])
  })

  it.runIf(HAS_REDIS)('fleet.config.mjs makes a fleet exchange once, and open a message once', async () => {
    await using redis = await startRedis()
    billing.clear()
    endpoint.requests.length = 0
    const driver = `
      import { writeFileSync } from 'node:fs'
      import { createTokenRelay, runWithToken } from 'otel-token-relay'
      import { consume, produce } from 'otel-token-relay/messaging'
      import options from './fleet.config.mjs'
      const [key] = options.sealing.keys
      key.secretFile = 'fleet-key'
      writeFileSync(key.secretFile, crypto.getRandomValues(Buffer.alloc(32)).toString('base64url'))
      let headers
      const outcomes = []
      for (let i = 0; i < 3; i += 1) {
        // Another process of the fleet.
        const relay = createTokenRelay(options)
        await runWithToken(process.env.TOKEN, async () => {
          await fetch(process.env.BILLING).then((response) => response.text())
          await produce('kafka:orders', (made) => { headers ??= made })
        })
        const consumed = await consume({ source: 'kafka:orders', headers: { ...headers } }, () => 'opened')
        outcomes.push(consumed.result ?? consumed.error.code)
        await relay.shutdown()
      }
      console.log(JSON.stringify(outcomes))
      process.exit()`
    const env = { TOKEN: await issuer.token(), BILLING: billing.origin, CLIENT_SECRET: 'secret', REDIS_URL: redis.url }
    expect(await drive(driver, [], env)).toEqual(['opened', 'ERR_TOKEN_SEAL', 'ERR_TOKEN_SEAL'])
    expect(new Set(billing.received.map(({ authorization }) => authorization.join())).size).toBe(1)
    expect(endpoint.requests).toHaveLength(1)
  })

  it('shipping.mjs ships an order as the customer, and reports what it could not ship', async () => {
    const driver = `
      import { createTokenRelay, runWithToken } from 'otel-token-relay'
      import options from './sealing.config.mjs'
      const [key] = options.sealing.keys
      createTokenRelay({ ...options, sealing: { keys: [{ kid: key.kid, secret: crypto.getRandomValues(Buffer.alloc(32)).toString('base64url') }] } })
      const { order, ship } = await import('./shipping.mjs')
      const queue = []
      await runWithToken(process.env.TOKEN, () => order(queue, 'a bicycle'))
      console.log(JSON.stringify([await ship(queue[0]), await ship({ text: 'a car', headers: {} })]))
      process.exit()`
    expect(await drive(driver, [], { TOKEN: await issuer.token() })).toEqual([
      'a bicycle for alice',
      'rejected: ERR_TOKEN_MISSING',
    ])
  })

  it('gallery.mjs runs thumbnails.mjs in a thread as the caller', async () => {
    const driver = `
      import { runWithToken } from 'otel-token-relay'
      const { thumbnail } = await import('./gallery.mjs')
      const names = ['a', 'b']
      const made = await runWithToken(process.env.TOKEN, () => Promise.all(names.map(thumbnail)))
      console.log(JSON.stringify([...made, await thumbnail('c')]))
      process.exit()`
    const env = {
      TOKEN: await issuer.token(),
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: 'worker:thumbnails',
    }
    const made = await drive(driver, ['--import', 'otel-token-relay/register'], env)
    expect(made).toEqual(['a for alice', 'b for alice', 'c for no caller'])
  })

  it.each(commandsOfKind('tool'))('%s: verifies the trail of audited.config.mjs', async (command) => {
    const driver = `
      import { writeFileSync } from 'node:fs'
      import { createTokenRelay } from 'otel-token-relay'
      import options from './audited.config.mjs'
      writeFileSync('audit-key', 'a key of this test, which is long enough')
      const relay = createTokenRelay({ ...options, audit: { ...options.audit, keyFile: 'audit-key' } })
      await relay.verify(process.env.TOKEN)
      await relay.shutdown()
      console.log(JSON.stringify(options.audit.onFailure))`
    expect(await drive(driver, [], { TOKEN: await issuer.token() })).toBe('block')
    const tool = join(PACKED, 'dist', 'cli', 'main.js')
    const here = command.replace('npx otel-token-relay', `node ${tool}`).replace('/run/secrets/audit', 'audit-key')
    const run = () => spawnSync('sh', ['-c', here], { cwd: local.folder, env: quietEnvironment(), encoding: 'utf8' })
    expect(run()).toMatchObject({ status: 0, stdout: expect.stringContaining('1 lines are intact') })
    const file = join(local.folder, 'audit.jsonl')
    writeFileSync(file, readFileSync(file, 'utf8').replace('verified', 'rejected'))
    expect(run()).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('audit.jsonl:1: was changed'),
    })
  })

  it.each([true, false])('canary.mjs finds a token that is exported; redacted: %s', async (isRedacted) => {
    const text = readFileSync(join(local.folder, 'canary.mjs'), 'utf8')
    const careless = text.replace(/relay\.redact\((.*)\)\] \}\)/, '$1] })')
    expect(careless).not.toBe(text)
    writeFileSync(join(local.folder, 'careless.mjs'), careless)
    const program = isRedacted ? 'canary.mjs' : 'careless.mjs'
    const run = spawn(process.execPath, [program], {
      cwd: local.folder,
      env: { ...quietEnvironment(), TOKEN: await issuer.token() },
    })
    let said = ''
    run.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
    const [code] = await once(run, 'close')
    expect([code, complaintsIn(said).join('\n')]).toEqual(
      isRedacted
        ? [
            0,
            expect.stringMatching(
              /^otel-token-relay canary: no piece of 1 tokens in stderr \d+, exported \d+ characters$/,
            ),
          ]
        : [1, expect.stringContaining('otel-token-relay canary: pieces of tokens were seen: exported (as it is, ')],
    )
  })

  it('message.mjs throws if the token cannot be checked', async () => {
    issuer.setDown(true)
    const driver = `
      import { senderOf } from './message.mjs'
      const error = await senderOf(process.env.TOKEN).catch((error) => error)
      console.log(JSON.stringify([error.name, error.status]))
      process.exit()`
    const complaints = [
      expect.stringMatching(/^otel-token-relay: keys of .*: could not be fetched: the answer has an error status$/),
    ]
    const thrown = await drive(driver, [], { TOKEN: await issuer.token() }, complaints).finally(() =>
      issuer.setDown(false),
    )
    expect(thrown).toEqual(['UndecidedError', 503])
  })
})

describe('the checks catch', () => {
  it.each([
    ['no runner for the language "python"', '```python\nprint(1)\n```\n'],
    ['no runner for the language ""', '```\nprint(1)\n```\n'],
    ['a block of js has no file name', '```js\n1\n```\n'],
    ['no test runs other.js', '```js other.js\n1\n```\n'],
  ])('%s', (complaint, markdown) => {
    expect(unrunnable(readBlocks(markdown))).toEqual([complaint])
  })

  it.each([
    'docker compose up',
    'npm ci',
    'npm run demo',
    'node app.js',
    'A=1 npm install x',
  ])('the command "%s"', (command) => {
    expect(() => unrunnable(readBlocks(`\`\`\`sh\n${command}\n\`\`\`\n`))).toThrow(command)
  })

  it('commands over several lines, and several commands in one block', () => {
    const [block] = readBlocks('```sh\nA=1 \\\nB=2 \\\n  node --require a b.js\nnpm install c\n```\n')
    expect(block && commandsOf(block)).toEqual(['A=1 B=2 node --require a b.js', 'npm install c'])
  })
})
