/** As whom a test issuer can speak. */

import { AUTH0 } from './flavours/auth0.ts'
import { COGNITO } from './flavours/cognito.ts'
import { ENTRA } from './flavours/entra.ts'
import type { Flavour } from './flavours/flavour.ts'
import { KEYCLOAK } from './flavours/keycloak.ts'
import { PLAIN } from './flavours/plain.ts'

/** The name of an issuer that a test issuer can speak as. */
export type FlavourName = 'plain' | 'keycloak' | 'auth0' | 'entra' | 'cognito'

export const FLAVOURS: Readonly<Record<FlavourName, Flavour>> = {
  plain: PLAIN,
  keycloak: KEYCLOAK,
  auth0: AUTH0,
  entra: ENTRA,
  cognito: COGNITO,
}
