/** `asCaller` runs a function as a caller that was really verified, without a server and without a network. */

import { request as httpRequest } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { TestServer } from '../../src/testing/index.ts'
import { asCaller, createTestDestination, expectNoToken, expectTokenAt } from '../../src/testing/index.ts'
import { optionsFor } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const alice = { subject: 'alice', scopes: ['orders:read'] }

describe('without a relay', () => {
  it('the function sees the caller, in every continuation', async () => {
    const seen = await asCaller({ ...alice, claims: { tenant: 'a' } }, async ({ credential }) => {
      await delay(1)
      const found = getActiveCredential()
      expect(found).toBe(credential)
      return [found?.subject, found?.scopes, found?.claims['tenant'], found?.issuer, found?.audience]
    })
    expect(seen).toEqual(['alice', ['orders:read'], 'a', 'https://as-caller.invalid', ['user-service']])
    expect(getActiveCredential()).toBeUndefined()
  })

  it('a function that is not async works, too, and what it throws is thrown', async () => {
    expect(await asCaller(alice, () => getActiveCredential()?.subject)).toBe('alice')
    await expect(
      asCaller(alice, () => {
        throw new Error('of the handler')
      }),
    ).rejects.toThrow('of the handler')
  })

  it('callers do not mix', async () => {
    const subjects = Array.from({ length: 20 }, (_, i) => `user-${i}`)
    const seen = await Promise.all(
      subjects.map((subject) => asCaller({ subject }, () => delay(1).then(() => getActiveCredential()?.subject))),
    )
    expect(seen).toEqual(subjects)
  })

  it('the name of the issuer can be chosen', async () => {
    const issuer = 'https://id.example.com'
    expect(await asCaller({ ...alice, issuer }, ({ credential }) => credential.issuer)).toBe(issuer)
  })

  it.each([
    [{}, 'subject: expected a text'],
    [{ subject: '' }, 'subject: expected a text'],
    [{ subject: 'a', scopes: 'a' }, 'scopes: expected a list'],
    [{ subject: 'a', expiresIn: 0 }, 'expiresIn: expected seconds, more than 0'],
    [{ subject: 'a', scope: 'a' }, 'scope: unknown option of asCaller'],
  ])('%j is refused: %s', async (options, message) => {
    await expect(asCaller(options as never, () => 0)).rejects.toThrow(message)
  })
})

describe('with a relay of another issuer', () => {
  let relay: TokenRelay
  let orders: TestServer
  let others: TestServer
  afterEach(async () => {
    await relay.shutdown()
    await orders[Symbol.asyncDispose]()
    await others[Symbol.asyncDispose]()
  })

  async function start(): Promise<void> {
    orders = await createTestDestination()
    others = await createTestDestination()
    relay = createTokenRelay({ ...optionsFor([createSigner().jwk]), destinations: [orders.entry] })
  }

  it('the token leaves for named destinations, by each client', async () => {
    await start()
    await asCaller(alice, async () => {
      await fetch(`${orders.origin}/a`)
      await fetch(`${others.origin}/a`)
      await new Promise((resolve) => httpRequest(`${orders.origin}/b`, resolve).end())
    })
    expect(orders.received.map(({ path, tokens }) => [path, tokens.length])).toEqual([
      ['/a', 1],
      ['/b', 1],
    ])
    expectTokenAt(orders, alice)
    expectNoToken(others)
    expect(others.received).toHaveLength(1)
  })

  it('the relay accepts the token at no entrance', async () => {
    await start()
    const token = await asCaller(alice, ({ credential }) => credential.reveal())
    await expect(relay.verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN_ISSUER' })
    await expect(runWithToken(token, () => 0)).rejects.toMatchObject({ code: 'ERR_TOKEN_ISSUER' })
    const named = await asCaller({ ...alice, issuer: 'https://id.example' }, ({ credential }) => credential.reveal())
    await expect(relay.verify(named)).rejects.toMatchObject({ status: 401 })
  })
})
