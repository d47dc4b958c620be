/** Carriers of message clients and of nobody in particular: one canonical place, one type, or no token. */

import { Metadata } from '@grpc/grpc-js'
import type { TextMapGetter } from '@opentelemetry/api'
import { defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOf } from '../../src/context/credential-context.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
const BEARER = `Bearer ${TOKEN}`
let relay: TokenRelay
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
})
afterAll(() => relay.shutdown())

/** What becomes of a carrier: the status of its caller, or `no caller`. */
function read(carrier: unknown, getter: TextMapGetter = defaultTextMapGetter): string {
  return callerOf(relay.propagator.extract(ROOT_CONTEXT, carrier, getter))?.state.status ?? 'no caller'
}

describe('gRPC metadata [E9]', () => {
  // As OpenTelemetry's instrumentation reads it: all values of a key.
  const getter: TextMapGetter = {
    keys: (carrier) => Object.keys((carrier as Metadata).getMap()),
    get: (carrier, key) => (carrier as Metadata).get(key) as string[],
  }
  const metadata = (...entries: readonly (readonly [string, string | Buffer])[]): Metadata => {
    const made = new Metadata()
    for (const [key, value] of entries) made.add(key, value)
    return made
  }

  it.each<readonly [string, Metadata, string]>([
    ['one value', metadata(['authorization', BEARER]), 'unverified'],
    ['a key in upper case, which gRPC makes lower case', metadata(['AUTHORIZATION', BEARER]), 'unverified'],
    ['two values', metadata(['authorization', BEARER], ['authorization', BEARER]), 'rejected'],
    ['two values of two schemes', metadata(['authorization', 'Basic eDp5'], ['authorization', BEARER]), 'rejected'],
    ['a key in two cases', metadata(['authorization', BEARER], ['Authorization', BEARER]), 'rejected'],
    ['bytes', metadata(['authorization-bin', Buffer.from(BEARER)]), 'no caller'],
    ['another key', metadata(['x-authorization', BEARER]), 'no caller'],
    ['more than fits', metadata(['authorization', `Bearer ${'a'.repeat(9_000)}`]), 'rejected'],
    ['nothing', metadata(), 'no caller'],
  ])('%s [E9]', (_, carrier, status) => {
    expect(read(carrier, getter)).toBe(status)
  })
})

describe('headers of messages [E10]', () => {
  // As the instrumentation of Kafka reads them: whatever the case, bytes as text.
  const kafka: TextMapGetter = {
    keys: Object.keys,
    get(carrier, name) {
      const found = Object.keys(carrier as object).find((key) => key.toLowerCase() === name)
      const value: unknown = found === undefined ? undefined : Reflect.get(carrier as object, found)
      return Array.isArray(value) ? value.map(String) : value === undefined ? undefined : String(value)
    },
  }
  it.each<readonly [string, object, string]>([
    ['a text', { authorization: BEARER }, 'unverified'],
    ['bytes', { Authorization: Buffer.from(BEARER) }, 'unverified'],
    ['a list of one', { authorization: [Buffer.from(BEARER)] }, 'unverified'],
    ['a list of two', { authorization: [BEARER, BEARER] }, 'rejected'],
    ['latin-1 bytes', { authorization: Buffer.from(`${BEARER}\u00e4`, 'latin1') }, 'rejected'],
    ['a nested object', { authorization: { value: BEARER } }, 'no caller'],
    ['a property of another name', { 'access-token': BEARER, token: BEARER }, 'no caller'],
  ])('read by the getter of Kafka: %s [E10]', (_, carrier, status) => {
    expect(read(carrier, kafka)).toBe(status)
  })

  const nested = (depth: number): unknown => (depth === 0 ? BEARER : [nested(depth - 1)])
  it.each<readonly [string, object, string]>([
    ['a property and a header: the header', { authorization: BEARER, token: `${BEARER}x` }, 'unverified'],
    ['a number', { authorization: 7 }, 'rejected'],
    ['a boolean', { authorization: true }, 'rejected'],
    ['a big integer', { authorization: 7n }, 'rejected'],
    ['a date', { authorization: new Date() }, 'rejected'],
    ['bytes', { authorization: Buffer.from(BEARER) }, 'rejected'],
    ['an array of bytes', { authorization: new Uint8Array(Buffer.from(BEARER)) }, 'rejected'],
    ['a String object', { authorization: Object(BEARER) as unknown }, 'rejected'],
    ['a nested object', { authorization: { toString: () => BEARER } }, 'rejected'],
    ['a list in a list', { authorization: nested(2) }, 'rejected'],
    ['a very deep list', { authorization: nested(1_000) }, 'rejected'],
    ['a sparse list', { authorization: new Array(1) }, 'no caller'],
    ['a list without end', { authorization: new Array(4_294_967_295) }, 'rejected'],
    ['a list that says it is short', { authorization: Object.assign([BEARER, BEARER], { length: 2 }) }, 'rejected'],
    ['an object like a list', { authorization: { 0: BEARER, length: 1 } }, 'rejected'],
    ['a megabyte', { authorization: `Bearer ${'a'.repeat(1_000_000)}` }, 'rejected'],
    ['a megabyte of nothing', { authorization: ' '.repeat(1_000_000) }, 'no caller'],
    ['no prototype', Object.assign(Object.create(null) as object, { authorization: BEARER }), 'unverified'],
    [
      'names of Object.prototype',
      { __proto__: { authorization: BEARER }, constructor: BEARER, toString: BEARER },
      'unverified',
    ],
    [
      'an instance with a getter',
      new (class {
        get authorization() {
          return BEARER
        }
      })(),
      'unverified',
    ],
  ])('read as it is: %s [E10]', (_, carrier, status) => {
    expect(read(carrier)).toBe(status)
  })

  it('a value that changes between two readings is read once [E10]', () => {
    let readings = 0
    const carrier = {
      get authorization() {
        readings += 1
        return readings === 1 ? BEARER : 'Basic eDp5'
      },
    }
    expect(read(carrier)).toBe('unverified')
    expect(readings).toBe(1)
  })
})
