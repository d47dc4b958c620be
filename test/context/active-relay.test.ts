/** One relay is active per thread, until it is shut down; then nothing of it is left. */

import http from 'node:http'
import net from 'node:net'
import { context } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import {
  createTokenRelay,
  deleteCredential,
  getActiveCredential,
  getActiveRelay,
  getCredential,
  RelayActiveError,
  runWithToken,
} from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const MESSAGE = 'a token relay is active in this thread already: shut it down before creating another one'

let sink: Sink
let options: TokenRelayOptions
let token: string
const relays: TokenRelay[] = []
beforeEach(async () => {
  sink = await startSink()
  options = { ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }] }
  token = signer.token(goodClaims(ISSUER))
})
afterEach(async () => {
  for (const relay of relays.splice(0)) await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})

function create(): TokenRelay {
  const relay = createTokenRelay(options)
  relays.push(relay)
  return relay
}

async function call(client: 'fetch' | 'http', path = '/'): Promise<void> {
  if (client === 'fetch') return void (await (await fetch(`${sink.origin}${path}`)).text())
  await new Promise((resolve, reject) => {
    http.get(`${sink.origin}${path}`, (response) => response.resume().on('end', resolve)).on('error', reject)
  })
}
const authorizations = (): (readonly string[])[] => sink.received.map(({ authorization }) => authorization)

describe('a second relay is refused [H14]', () => {
  it('with a code, and the first one stays at work', async () => {
    create()
    expect(() => createTokenRelay(options)).toThrow(
      expect.objectContaining({ name: 'RelayActiveError', code: 'ERR_RELAY_ACTIVE', message: MESSAGE }),
    )
    expect(() => createTokenRelay(options)).toThrow(RelayActiveError)
    await runWithToken(token, () => call('fetch'))
    expect(authorizations()).toEqual([[`Bearer ${token}`]])
  })

  it('also by a second copy of this package', async () => {
    create()
    vi.resetModules()
    const copy = await import('../../src/index.ts')
    expect(copy.createTokenRelay).not.toBe(createTokenRelay)
    expect(() => copy.createTokenRelay(options)).toThrow(expect.objectContaining({ code: 'ERR_RELAY_ACTIVE' }))
  })

  it('only after its own options were found good', () => {
    create()
    expect(() => createTokenRelay({ issuers: [] })).toThrow(expect.objectContaining({ code: 'ERR_RELAY_OPTION' }))
  })

  it('no longer, once the first one was shut down', async () => {
    await create().shutdown()
    create()
    await runWithToken(token, () => call('fetch'))
    expect(authorizations()).toEqual([[`Bearer ${token}`]])
  })

  it('also after the relay before was shut down once more', async () => {
    const first = create()
    await first.shutdown()
    create()
    await first.shutdown()
    let third: TokenRelay | undefined
    try {
      expect(() => {
        third = createTokenRelay(options)
      }).toThrow(RelayActiveError)
    } finally {
      await third?.shutdown()
    }
  })
})

describe('the active relay', () => {
  it('is the one that was created, and none after its shutdown', async () => {
    expect(getActiveRelay()).toBeUndefined()
    const first = create()
    expect(getActiveRelay()).toBe(first)
    await first.shutdown()
    expect(getActiveRelay()).toBeUndefined()
    const second = create()
    await first.shutdown()
    expect(getActiveRelay()).toBe(second)
  })

  it('is known to another copy of this package, and so is its caller', async () => {
    const relay = create()
    vi.resetModules()
    const copy = await import('../../src/index.ts')
    expect(copy.getActiveRelay()).toBe(relay)
    expect(copy.getActiveCredential()).toBeUndefined()
    await runWithToken(token, () => {
      const credential = getActiveCredential()
      expect(credential?.subject).toBe('alice')
      expect(copy.getActiveCredential()).toBe(credential)
      expect(copy.getCredential(context.active())).toBe(credential)
      for (const remove of [deleteCredential, copy.deleteCredential]) {
        const without = remove(context.active())
        expect([getCredential(without), copy.getCredential(without)]).toEqual([undefined, undefined])
        expect(context.with(without, copy.getActiveCredential)).toBeUndefined()
      }
    })
    await relay.shutdown()
    expect(copy.getActiveRelay()).toBeUndefined()
  })
})

describe('one token, once [H14]', () => {
  it.each(['fetch', 'http'] as const)('%s: also after relays came and went', async (client) => {
    for (let i = 0; i < 3; i += 1) await create().shutdown()
    create()
    await runWithToken(token, () => call(client))
    expect(authorizations()).toEqual([[`Bearer ${token}`]])
  })
})

describe('after shutdown', () => {
  it.each(['fetch', 'http'] as const)('%s carries no token, though the caller is still there', async (client) => {
    const relay = create()
    await runWithToken(token, async () => {
      await call(client, '/before')
      await relay.shutdown()
      expect(getActiveCredential()?.subject).toBe('alice')
      await call(client, '/after')
    })
    expect(sink.received.map(({ target, authorization }) => [target, authorization])).toEqual([
      ['/before', [`Bearer ${token}`]],
      ['/after', []],
    ])
  })

  it('the functions of Node that send requests are its own again', async () => {
    const current = (): readonly unknown[] => [
      Reflect.get(http.Agent.prototype, 'addRequest'),
      net.Socket.prototype.connect,
    ]
    const before = current()
    const relay = create()
    expect(current().map((value, i) => value === before[i])).toEqual([false, false])
    await relay.shutdown()
    expect(current().map((value, i) => value === before[i])).toEqual([true, true])
  })

  it('another shutdown does no harm', async () => {
    const relay = create()
    await relay.shutdown()
    await relay.shutdown()
    create()
    await runWithToken(token, () => call('fetch'))
    expect(authorizations()).toEqual([[`Bearer ${token}`]])
  })
})
