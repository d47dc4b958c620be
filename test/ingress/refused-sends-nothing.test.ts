/** A token that was refused is in no context, and nothing leaves because of it, in every mode. */

import { afterEach, describe, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { getActiveCredential } from '../../src/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/entries.ts'
import { findToken } from '../support/exports.ts'
import { statuses } from '../support/raw.ts'
import { ISSUER } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const forged = createSigner().token(goodClaims(ISSUER))
const BAD: Readonly<Record<string, string>> = {
  forged,
  expired: tokenOf({ exp: 1_000_000, iat: 999_000 }),
  'for another audience': tokenOf({ aud: 'another' }),
  malformed: 'not-a-token-at-all',
}
let service: Service
afterEach(() => service[Symbol.asyncDispose]())

/** A handler that calls on, and says as whom it does. */
async function start(
  ingress: TokenRelayOptions['ingress'],
  options: Partial<TokenRelayOptions> = {},
): Promise<string[]> {
  const seen: string[] = []
  service = await startService({
    options: { ingress: ingress ?? {}, ...options },
    handler: async (_, response) => {
      seen.push(String(getActiveCredential()?.subject))
      await (await fetch(`${service.sink.origin}/sink/x`)).text()
      response.end()
    },
  })
  return seen
}
async function nothingLeft(token: string, calls: number): Promise<void> {
  expect(service.sink.received).toHaveLength(calls)
  expect(service.sink.received.flatMap(({ authorization }) => authorization)).toEqual([])
  expect(findToken(service.sink.bytes(), token)).toBeUndefined()
}

describe.each(Object.entries(BAD))('a token that is %s [E11]', (_, token) => {
  it.each(['require', 'optional'] as const)('mode %s: refused before anything runs [E11]', async (mode) => {
    const seen = await start({ mode })
    expect(statuses(await service.send([bearer(token)]))).toEqual([401])
    expect(seen).toEqual([])
    await nothingLeft(token, 0)
  })

  it.each<readonly [string, TokenRelayOptions['ingress'], string]>([
    ['mode off', { mode: 'off' }, '/'],
    ['a public path', { publicPaths: ['/open'] }, '/open'],
  ])('%s: the handler runs without a caller, and so do its calls [E11]', async (__, ingress, target) => {
    const seen = await start(ingress)
    expect(statuses(await service.send([bearer(token)], target))).toEqual([200])
    expect(seen).toEqual(['undefined'])
    await nothingLeft(token, 1)
  })

  it('an SDK that disables the instrumentation does not open the gate [E11]', async () => {
    const seen = await start({})
    service.relay.instrumentation.disable()
    service.relay.instrumentation.setConfig({ enabled: false })
    expect(statuses(await service.send([bearer(token)]))).toEqual([401])
    expect(seen).toEqual([])
    await nothingLeft(token, 0)
  })
})

it('a good token in mode off or on a public path is not verified, and does not leave [E11]', async () => {
  for (const [ingress, target] of [
    [{ mode: 'off' }, '/'],
    [{ publicPaths: ['/open'] }, '/open'],
  ] as const) {
    const token = tokenOf()
    await start(ingress)
    expect(statuses(await service.send([bearer(token)], target))).toEqual([200])
    await nothingLeft(token, 1)
    await service[Symbol.asyncDispose]()
  }
  await start({})
})

it('a token that could not be checked does not leave [E11]', async () => {
  const list = { ...createMemoryRevocationList(), available: false }
  const seen = await start({}, { revocation: { list } })
  expect(statuses(await service.send([bearer(tokenOf())]))).toEqual([503])
  expect(seen).toEqual([])
  await nothingLeft(tokenOf(), 0)
})
