/** Tokens of the test issuer at a real gate: good ones pass, and each bad one is refused with the code of its name. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { BadTokenKind, FlavourName, TestIssuer } from '../../src/testing/index.ts'
import { BAD_TOKENS, createTestIssuer, refusalCodeOf } from '../../src/testing/index.ts'
import { verdict } from '../support/relay.ts'

const KINDS = Object.keys(BAD_TOKENS) as BadTokenKind[]
const FLAVOURS: readonly FlavourName[] = ['plain', 'keycloak', 'auth0', 'entra', 'cognito']

describe.each(FLAVOURS)('speaking as %s', (flavour) => {
  let issuer: TestIssuer
  let relay: TokenRelay
  beforeAll(async () => {
    issuer = await createTestIssuer({ flavour })
    relay = createTokenRelay({ issuers: [issuer.configuration], telemetry: { log: 'off' } })
    await relay.hydrate()
  })
  afterAll(async () => {
    await relay.shutdown()
    await issuer.close()
  })

  it('a good token is accepted, with what it was made of', async () => {
    const token = issuer.token({ subject: 'bob', roles: ['editor'], sessionId: 's1' })
    const credential = await relay.verify(token)
    expect(credential).toMatchObject({ subject: 'bob', issuer: issuer.issuer })
    expect(credential.roles).toContain('editor')
  })

  it.each(KINDS)('%s is refused', async (kind) => {
    expect(await verdict(relay.verify(issuer.badToken(kind)))).toBe(refusalCodeOf(kind, { flavour }))
  })
})
