/** Issuer × token × rule: a real Keycloak leads to the verdicts of the test issuer and of oidc-provider. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AgreeingIssuer, IssuerTokens } from '../support/agreement.ts'
import { RULES, verdictsOf } from '../support/agreement.ts'
import type { Keycloak, TokenAnswer } from './keycloak.ts'
import { requestToken, startKeycloak } from './keycloak.ts'

const REALM = 'shop'

let keycloak: Keycloak
let agreeing: AgreeingIssuer
beforeAll(async () => {
  keycloak = await startKeycloak()
  await keycloak.admin('POST', '', { realm: REALM, enabled: true })
  await keycloak.admin('POST', `/${REALM}/clients`, clientFor('web', 'user-service'))
  await keycloak.admin('POST', `/${REALM}/clients`, clientFor('other', 'billing'))
  await keycloak.admin('POST', `/${REALM}/users`, {
    ...{ username: 'alice', enabled: true, email: 'alice@example.com', firstName: 'Alice', lastName: 'Example' },
    credentials: [{ type: 'password', value: 'alice', temporary: false }],
  })
  agreeing = {
    issuer: `${keycloak.origin}/realms/${REALM}`,
    ...{ audience: 'user-service', otherAudience: 'billing', scope: 'profile' },
    tokens,
  }
}, 300_000)
afterAll(() => keycloak?.[Symbol.asyncDispose]())

/** A confidential client whose access tokens are for `audience`, and are called `at+jwt`. */
function clientFor(name: string, audience: string): object {
  return {
    ...{ clientId: name, secret: `${name}-secret`, directAccessGrantsEnabled: true, serviceAccountsEnabled: true },
    attributes: { 'access.token.header.type.rfc9068': 'true' },
    protocolMappers: [
      {
        ...{ name: 'audience', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper' },
        config: { 'included.custom.audience': audience, 'access.token.claim': 'true' },
      },
    ],
  }
}

function login(client: string): Promise<TokenAnswer> {
  return requestToken(keycloak.origin, REALM, {
    ...{ grant_type: 'password', client_id: client, client_secret: `${client}-secret` },
    ...{ username: 'alice', password: 'alice', scope: 'openid profile' },
  })
}

async function tokens(): Promise<IssuerTokens> {
  const { access_token: access, id_token: id = '' } = await login('web')
  const { access_token: other } = await login('other')
  const { access_token: service } = await requestToken(keycloak.origin, REALM, {
    ...{ grant_type: 'client_credentials', client_id: 'web', client_secret: 'web-secret' },
  })
  return { access, service, other, id }
}

it.each(RULES)('$name', async (rule) => {
  expect(await verdictsOf(agreeing, rule)).toEqual(rule.verdicts)
})
