/** The types of the test kit: wrong options do not compile. */

import { beforeAll, describe, expect, it } from 'vitest'
import { compile } from './compile.ts'

const RIGHT = `
import {
  asCaller, createTestDestination, createTestIssuer, createTestRelay, expectNoToken, expectTokenAt, tokenMatchers,
  watchTokens, type TestCaller, type TestQueue, type TestRelay, type TestServer, type TokenWatch,
} from 'otel-token-relay/testing'

export async function use(): Promise<number> {
  const server: TestServer = await createTestDestination({ protocol: 'grpc', answer: ({ path }) => ({ body: path }) })
  const queue: TestQueue = await createTestDestination({ protocol: 'queue', name: 'kafka:a' })
  const kit: TestRelay = await createTestRelay({ destinations: [server, queue, { to: 'https://a.example' }] })
  const watch: TokenWatch = watchTokens()
  const length: number = await asCaller({ subject: 'a', scopes: ['b'] }, async (caller: TestCaller) =>
    caller.headers.authorization.length + (caller.credential.subject ?? '').length)
  const other: string = await asCaller({ subject: 'a', issuer: await createTestIssuer() }, () => 'a')
  expectTokenAt(server, { subject: 'a', scopes: [], audience: 'b' })
  expectNoToken(queue)
  watch.expectOnly([server, 'https://a.example', new URL('https://b.example')], { allow: [server] })
  await kit[Symbol.asyncDispose]()
  return length + other.length + Object.keys(tokenMatchers).length
}
`

const IMPORTS = `
import { asCaller, createTestDestination, createTestRelay, expectTokenAt, watchTokens } from 'otel-token-relay/testing'
import type { TestQueue, TestServer } from 'otel-token-relay/testing'
declare const server: TestServer
declare const queue: TestQueue
`

const WRONG = [
  'asCaller({}, () => 0)',
  "asCaller({ subject: 'a', scope: 'b' }, () => 0)",
  "asCaller({ subject: 'a', scopes: 'b' }, () => 0)",
  "asCaller({ subject: 'a', expiresIn: '5m' }, () => 0)",
  "createTestDestination({ protocol: 'ftp' })",
  "createTestDestination({ protocol: 'http', name: 'kafka:a' })",
  "createTestRelay({ destinations: ['https://a.example'] })",
  "createTestRelay({ ingress: { mode: 'maybe' } })",
  'expectTokenAt(server, {})',
  "expectTokenAt(server, { subject: 'a', scope: 'b' })",
  'watchTokens().expectOnly(server)',
  'watchTokens().expectOnly([queue])',
] as const

it('a program that uses the kit compiles, as an ES module and as CommonJS', () => {
  expect(compile({ 'kit.mts': RIGHT, 'kit.cts': RIGHT })).toEqual([])
})

describe('a program does not compile with', () => {
  let errors: readonly string[]
  beforeAll(() => {
    errors = compile(Object.fromEntries(WRONG.map((text, i) => [`kit-wrong-${i}.mts`, `${IMPORTS}\nvoid ${text}\n`])))
  })

  it.each(WRONG.map((text, i) => [text, `kit-wrong-${i}.mts`]))('%s', (_, file) => {
    expect(errors.filter((line) => line.startsWith(`${file}(`))).toHaveLength(1)
  })
})
