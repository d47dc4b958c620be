/** Issuer × token × rule: a test issuer and oidc-provider lead to the same verdicts; test/interop asks Keycloak, too. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FlavourName, TestIssuer } from '../../src/testing/index.ts'
import { createTestIssuer } from '../../src/testing/index.ts'
import type { AgreeingIssuer, IssuerTokens } from '../support/agreement.ts'
import { RULES, verdictsOf } from '../support/agreement.ts'
import type { OidcProvider } from '../support/oidc-provider.ts'
import { startOidcProvider } from '../support/oidc-provider.ts'

const AUDIENCE = 'https://user.example'
const OTHER = 'https://billing.example'
const SCOPE = 'profiles:read'

const NAMES = { audience: AUDIENCE, otherAudience: OTHER, scope: SCOPE }

async function clientToken(tokenEndpoint: string, scope: string): Promise<string> {
  const response = await fetch(tokenEndpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('web:secret')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  return ((await response.json()) as { access_token: string }).access_token
}

describe('a test issuer', () => {
  let issuer: TestIssuer
  let agreeing: AgreeingIssuer
  beforeAll(async () => {
    issuer = await createTestIssuer({ audience: AUDIENCE, scopes: [SCOPE] })
    agreeing = { ...NAMES, issuer: issuer.issuer, tokens: tokensOfIssuer }
  })
  afterAll(() => issuer.close())

  async function tokensOfIssuer(): Promise<IssuerTokens> {
    return {
      access: issuer.token({ expiresIn: 300 }),
      service: await clientToken(issuer.endpoints.token, SCOPE),
      other: issuer.token({ audience: OTHER, expiresIn: 300 }),
      id: issuer.badToken('id-token'),
    }
  }

  it.each(RULES)('$name', async (rule) => {
    expect(await verdictsOf(agreeing, rule)).toEqual(rule.verdicts)
  })
})

describe('a test issuer that speaks as Keycloak', () => {
  const flavour: FlavourName = 'keycloak'
  let issuer: TestIssuer
  beforeAll(async () => {
    issuer = await createTestIssuer({ flavour })
  })
  afterAll(() => issuer.close())

  it.each(RULES)('$name', async (rule) => {
    // As a client whose tokens are to be called so.
    const header = { typ: 'at+jwt' }
    const tokens: IssuerTokens = {
      access: issuer.token({ expiresIn: 300, header }),
      service: issuer.token({ subject: 'service-account-web', expiresIn: 300, header }),
      other: issuer.token({ audience: OTHER, expiresIn: 300, header }),
      id: issuer.badToken('id-token'),
    }
    const names = { issuer: issuer.issuer, audience: issuer.audience, otherAudience: OTHER, scope: 'profile' }
    expect(await verdictsOf({ ...names, tokens: () => Promise.resolve(tokens) }, rule)).toEqual(rule.verdicts)
  })
})

describe('oidc-provider', () => {
  let provider: OidcProvider
  let agreeing: AgreeingIssuer
  beforeAll(async () => {
    provider = await startOidcProvider({ [AUDIENCE]: SCOPE, [OTHER]: SCOPE }, [
      { client_id: 'web', client_secret: 'secret' },
    ])
    agreeing = { ...NAMES, issuer: provider.issuer, tokens: tokensOfProvider }
  })
  afterAll(() => provider[Symbol.asyncDispose]())

  async function tokensOfProvider(): Promise<IssuerTokens> {
    const facts = { sub: 'alice', clientId: 'web', audience: AUDIENCE, scope: SCOPE }
    return {
      access: await provider.accessToken(facts),
      service: await clientToken(`${provider.issuer}/token`, SCOPE),
      other: await provider.accessToken({ ...facts, audience: OTHER }),
      id: await provider.idToken(facts),
    }
  }

  it.each(RULES)('$name', async (rule) => {
    expect(await verdictsOf(agreeing, rule)).toEqual(rule.verdicts)
  })
})
