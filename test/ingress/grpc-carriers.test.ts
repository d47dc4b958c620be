/** E9: the gate in front of a real gRPC server, which reads its metadata from HTTP/2 fields. */

import type { Client, ServiceError } from '@grpc/grpc-js'
import { credentials, Metadata, makeGenericClientConstructor, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

const bytes = (value: Buffer): Buffer => value
const DEFINITION = {
  who: {
    path: '/test.Who/Who',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
}
const BEARER = `Bearer ${tokenOf()}`
const handled: (string | undefined)[] = []
let relay: TokenRelay
let server: Server
let client: Client

beforeAll(async () => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  relay.instrumentation.enable()
  server = new Server()
  server.addService(DEFINITION, {
    who(_: unknown, done: (error: null, value: Buffer) => void) {
      handled.push(getActiveCredential()?.subject)
      done(null, Buffer.from('x'))
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  const Who = makeGenericClientConstructor(DEFINITION, 'Who')
  client = new Who(`127.0.0.1:${port}`, credentials.createInsecure())
})
afterAll(async () => {
  client.close()
  server.forceShutdown()
  await relay.shutdown()
})
beforeEach(() => {
  handled.length = 0
})

function call(...entries: readonly (readonly [string, string | Buffer])[]): Promise<number> {
  const metadata = new Metadata()
  for (const [key, value] of entries) metadata.add(key, value)
  return new Promise((resolve) => {
    client.makeUnaryRequest('/test.Who/Who', bytes, bytes, Buffer.from('q'), metadata, (error: ServiceError | null) =>
      resolve(error === null ? status.OK : error.code),
    )
  })
}

it('one token, in any case of its key [E9]', async () => {
  expect(await call(['authorization', BEARER])).toBe(status.OK)
  expect(await call(['AUTHORIZATION', BEARER])).toBe(status.OK)
  expect(handled).toEqual(['alice', 'alice'])
})

it.each<readonly [string, readonly (readonly [string, string | Buffer])[]]>([
  ['no token', []],
  ['a bad token', [['authorization', 'Bearer a.b.c']]],
  [
    'the same token twice',
    [
      ['authorization', BEARER],
      ['authorization', BEARER],
    ],
  ],
  [
    'two schemes',
    [
      ['authorization', 'Basic eDp5'],
      ['authorization', BEARER],
    ],
  ],
  ['bytes', [['authorization-bin', Buffer.from(BEARER)]]],
  [
    'another key',
    [
      ['x-authorization', BEARER],
      ['x-token-verified', 'true'],
    ],
  ],
  ['a token above the limit', [['authorization', `Bearer ${'a'.repeat(9_000)}`]]],
])('%s: no handler runs [E9]', async (_, entries) => {
  // Two values do not even leave a client of grpc-js; `hostile-http2.test.ts` sends them.
  expect(await call(...entries)).toBe(
    entries.length > 1 && entries[0]?.[0] === entries[1]?.[0] ? status.INTERNAL : status.UNAUTHENTICATED,
  )
  expect(handled).toEqual([])
  expect(await call(['authorization', BEARER])).toBe(status.OK)
})
