/** A test issuer stays ended, whatever was under way, and refuses names that do not exist. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import type { TestIssuer } from '../../src/testing/index.ts'
import { asCaller, createTestIssuer } from '../../src/testing/index.ts'

async function answers(issuer: TestIssuer): Promise<boolean> {
  return await fetch(issuer.jwksUri).then(
    () => true,
    () => false,
  )
}

describe('what was asked for last counts', () => {
  it('two ends of one outage', async () => {
    await using issuer = await createTestIssuer()
    await issuer.goDown()
    await Promise.all([issuer.comeBack(), issuer.comeBack()])
    expect(await answers(issuer)).toBe(true)
  })

  it('an outage while it comes back', async () => {
    await using issuer = await createTestIssuer()
    await issuer.goDown()
    const back = issuer.comeBack()
    await issuer.goDown()
    await back
    expect(await answers(issuer)).toBe(false)
    await issuer.comeBack()
    expect(await answers(issuer)).toBe(true)
  })

  it('its end while it comes back', async () => {
    const issuer = await createTestIssuer()
    await issuer.goDown()
    const back = issuer.comeBack()
    await issuer.close()
    await back
    expect(await answers(issuer)).toBe(false)
  })

  it('nothing opens its port after its end', async () => {
    const issuer = await createTestIssuer()
    await issuer.close()
    await expect(issuer.goDown('500')).rejects.toThrow('the test issuer was closed')
    await expect(issuer.comeBack()).rejects.toThrow('the test issuer was closed')
    expect(await answers(issuer)).toBe(false)
  })
})

it('names that do not exist are refused, because they would prove nothing', async () => {
  await using issuer = await createTestIssuer()
  await expect(issuer.goDown('timeout' as never)).rejects.toThrow('how: expected 429, 500, 503, refused')
  for (const kind of ['constructor', 'nope']) {
    expect(() => issuer.badToken(kind as never)).toThrow('kind: expected expired, not-yet-valid')
  }
  await expect(createTestIssuer({ flavour: 'okta' as never })).rejects.toThrow('flavour: expected plain, keycloak')
  await expect(createTestIssuer({ algorithm: 'HS256' as never })).rejects.toThrow('algorithm: expected ES256, RS256')
})

describe('a process that says later that it is one of production', () => {
  afterEach(() => void vi.unstubAllEnvs())

  it('gets no caller and no issuer from the kit', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    await expect(asCaller({ subject: 'alice' }, () => 0)).rejects.toThrow('is for tests, and NODE_ENV is production')
    await expect(createTestIssuer()).rejects.toThrow('is for tests, and NODE_ENV is production')
    vi.stubEnv('OTEL_TOKEN_RELAY_TESTING', 'allow-in-production')
    expect(await asCaller({ subject: 'alice' }, () => 1)).toBe(1)
  })
})
