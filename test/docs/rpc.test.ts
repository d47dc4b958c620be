/** The pages on GraphQL, tRPC and Connect: servers behind the gate, and clients that many callers share. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { quietEnvironment } from '../package/scratch.ts'
import { connectable } from '../support/brokers.ts'
import { complaintsIn } from '../support/process.ts'
import { fileOf } from './blocks.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

const CALLERS = Array.from({ length: 20 }, (_, i) => `caller-${i}`)

let stage: Stage
let tokens: readonly string[]
beforeAll(async () => {
  stage = await createStage()
  tokens = await Promise.all(CALLERS.map((sub) => stage.issuer.token({ sub })))
})
afterAll(() => stage[Symbol.asyncDispose]())

/** Behind the gate, without code. */
async function start(program: string): Promise<AsyncDisposable & { readonly output: () => string }> {
  const env = quietEnvironment({
    TOKEN_RELAY_ISSUER: stage.issuer.issuer,
    TOKEN_RELAY_AUDIENCE: 'user-service',
    TOKEN_RELAY_DESTINATIONS: stage.profiles.origin,
  })
  const child = spawn(process.execPath, ['--import', 'otel-token-relay/register', program], {
    cwd: stage.local.folder,
    env,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  await connectable(stage.port)
  return {
    output: () => output,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

/** What each caller gets, all at the same time, from `call` of a program that has `imports`. */
async function callAtOnce(imports: string, call: string): Promise<unknown> {
  const driver = `
    import { createTokenRelay, runWithToken } from 'otel-token-relay'
    createTokenRelay({
      issuers: [{ issuer: process.env.ISSUER, audience: 'user-service' }],
      destinations: [{ to: 'http://localhost:${stage.port}' }],
      ingress: { mode: 'off' },
    })
    const { all } = await (async () => { ${imports}; return { all: () => ${call} } })()
    const tokens = JSON.parse(process.env.TOKENS)
    console.log(JSON.stringify(await Promise.all(tokens.map((token) => runWithToken(token, all)))))
    process.exit()`
  return stage.drive(driver, [], { ISSUER: stage.issuer.issuer, TOKENS: JSON.stringify(tokens) })
}

it('graphql.mjs: each resolver works as its caller, and so does the loader that is created for each', async () => {
  await using running = await start('graphql.mjs')
  stage.profiles.clear()
  const ask = async (token: string, i: number): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${stage.port}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: `{ me profile(id: "${i}") { id status } }` }),
    })
    return response.json()
  }
  const answers = await Promise.all(tokens.map(ask))
  expect(answers).toEqual(CALLERS.map((me, i) => ({ data: { me, profile: { id: `${i}`, status: 200 } } })))
  const sent = stage.profiles.received.map(({ target, authorization }) => [target, authorization[0]])
  expect(sent.toSorted()).toEqual(tokens.map((token, i) => [`/profiles/${i}`, `Bearer ${token}`]).toSorted())
  expect((await fetch(`http://127.0.0.1:${stage.port}/graphql?query={me}`)).status).toBe(401)
  expect(complaintsIn(running.output())).toEqual([])
})

it('trpc.mjs: each procedure works as its caller, and some ask for a scope', async () => {
  await using _ = await start('trpc.mjs')
  stage.profiles.clear()
  const token = await stage.issuer.token()
  expect(await (await stage.get('/me', token)).json()).toEqual({ result: { data: 'alice' } })
  expect(await (await stage.get('/me,profile?batch=1', token)).json()).toEqual([
    { result: { data: 'alice' } },
    { result: { data: {} } },
  ])
  expect(stage.profiles.received).toMatchObject([{ authorization: [`Bearer ${token}`] }])
  expect((await stage.get('/profile', await stage.issuer.token({ scope: 'mail' }))).status).toBe(403)
  expect((await stage.get('/me')).status).toBe(401)
})

it('trpc-client.mjs: callers at the same time have a batch each', async () => {
  await using _ = await start('trpc.mjs')
  const imports = "const { users } = await import('./trpc-client.mjs')"
  expect(await callAtOnce(imports, 'users().me.query()')).toEqual(CALLERS)
})

it('a client of tRPC that callers share: httpLink keeps them apart, httpBatchLink calls as the first', async () => {
  await using _ = await start('trpc.mjs')
  const shared = (link: string): string =>
    `const { createTRPCClient, ${link} } = await import('@trpc/client');
     const users = createTRPCClient({ links: [${link}({ url: 'http://localhost:${stage.port}' })] })`
  expect(await callAtOnce(shared('httpLink'), 'users.me.query()')).toEqual(CALLERS)
  const batched = (await callAtOnce(shared('httpBatchLink'), 'users.me.query()')) as readonly string[]
  expect(batched.filter((caller, i) => caller !== CALLERS[i])).not.toEqual([])
})

const TRANSPORTS = [
  ['HTTP/1.1', "createConnectTransport({ baseUrl, httpVersion: '1.1' })", false],
  ['HTTP/2', "createConnectTransport({ baseUrl, httpVersion: '2' })", true],
  ['gRPC', 'createGrpcTransport({ baseUrl })', true],
] as const

it.each(
  TRANSPORTS,
)('connect.mjs and connect-client.mjs with profiles_pb.mjs: %s, each call as its caller', async (_, transport, isHttp2) => {
  // As the page says: with http2.createServer it is the same.
  const [server, client] = ['connect.mjs', 'connect-client.mjs'].map((name) => stage.localized(fileOf(name).text))
  stage.local.write({
    'connect.mjs': isHttp2 ? String(server).replace('node:http', 'node:http2') : String(server),
    'connect-client.mjs': String(client)
      .replace(
        /createConnectTransport\(.*\)/,
        transport.replace('baseUrl', `baseUrl: 'http://localhost:${stage.port}'`),
      )
      .replace('{ createConnectTransport }', '{ createConnectTransport, createGrpcTransport }'),
  })
  await using running = await start('connect.mjs')
  const imports = "const { profiles } = await import('./connect-client.mjs')"
  expect(await callAtOnce(imports, 'profiles.get({ id: "42" }).then(({ name }) => name)')).toEqual(CALLERS)
  const driver = `
    import { profiles } from './connect-client.mjs'
    console.log(JSON.stringify(await profiles.get({ id: '42' }).catch(({ code }) => code)))
    process.exit()`
  expect(await stage.drive(driver, [], {})).toBe(16)
  expect(complaintsIn(running.output())).toEqual([])
})
