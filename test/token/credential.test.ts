/** No way of printing a credential shows the text of its token. */

import { Console } from 'node:console'
import { PassThrough } from 'node:stream'
import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { UnverifiedCredential } from '../../src/token/credential.ts'
import type { VerifiedCredential } from '../../src/token/verified-credential.ts'
import { credentialOf } from '../support/credential.ts'

const MARKER = 'bWFya2VyLW9mLWEtdG9rZW4'
const TOKEN = `eyJhbGciOiJFUzI1NiJ9.${MARKER}.c2lnbmF0dXJl`

type Kind = UnverifiedCredential | VerifiedCredential
const KINDS: readonly (readonly [string, Kind])[] = [
  ['a presented credential', new UnverifiedCredential(TOKEN)],
  ['a verified credential', credentialOf({ sub: 'alice', exp: 4_000_000_000 }, TOKEN)],
]

function printed(value: unknown): string {
  const stream = new PassThrough()
  const console = new Console({ stdout: stream, stderr: stream })
  console.log(value)
  console.log('%s %o %O %j', value, value, value, value)
  console.error({ credential: value })
  console.dir(value, { depth: Number.POSITIVE_INFINITY, showHidden: true })
  console.table([value])
  return String(stream.read())
}

const EVERYTHING = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true, showProxy: true } as const
type Printer = readonly [way: string, print: (value: Kind) => unknown]
const PRINTERS: readonly Printer[] = [
  ['util.inspect', (value) => inspect(value)],
  ['util.inspect of everything', (value) => inspect(value, EVERYTHING)],
  ['util.inspect without custom printers', (value) => inspect(value, { ...EVERYTHING, customInspect: false })],
  ['util.inspect of an owner', (value) => inspect({ owner: [new Map([['a', value]])] }, EVERYTHING)],
  ['util.inspect of its prototype', (value) => inspect(Object.getPrototypeOf(value), EVERYTHING)],
  ['util.format', (value) => format('%s %d %i %j %o %O', value, value, value, value, value, value)],
  ['JSON.stringify', (value) => JSON.stringify(value)],
  ['JSON.stringify of an owner', (value) => JSON.stringify({ owner: [value] })],
  ['String', (value) => String(value)],
  ['a template', (value) => `${value}`],
  ['concatenation', (value) => `a${String(value.valueOf())}`],
  ['toLocaleString', (value) => value.toLocaleString()],
  ['console', printed],
  ['an error message', (value) => inspect(new Error(`failed for ${value}`), EVERYTHING)],
  ['an error cause', (value) => inspect(new Error('failed', { cause: value }), EVERYTHING)],
  ['structuredClone', (value) => inspect(structuredClone(value), EVERYTHING)],
  ['v8.serialize', (value) => serialize(value).toString('latin1')],
  ['Object.entries', (value) => JSON.stringify(Object.entries(value))],
  ['its own keys', (value) => Reflect.ownKeys(value).map((key) => inspect(Reflect.get(value, key)))],
  ['a spread copy', (value) => inspect({ ...value }, EVERYTHING)],
  ['URLSearchParams', (value) => String(new URLSearchParams({ value: String(value) }))],
]

describe.each(KINDS)('%s [G5]', (_, credential) => {
  it.each(PRINTERS)('is not printed by %s', (_way, print) => {
    const output = String(print(credential))
    expect(output).not.toContain(MARKER)
    expect(output).not.toContain(TOKEN.slice(0, 8))
    expect(output).not.toContain(TOKEN.slice(-8))
  })

  it('has no enumerable or symbol-keyed member that holds the text [G6]', () => {
    expect(Object.keys(credential)).toEqual([])
    expect(Reflect.ownKeys(credential)).toEqual([])
  })

  it('reveals the text only on request', () => {
    expect(credential.reveal()).toBe(TOKEN)
  })
})

it('a presented credential prints as [Credential]', () => {
  const credential = new UnverifiedCredential(TOKEN)
  expect([inspect(credential), `${credential}`, JSON.stringify({ credential })]).toEqual([
    '[Credential]',
    '[Credential]',
    '{"credential":"[Credential]"}',
  ])
})
