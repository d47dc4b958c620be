/** One accepted issuer: its settings, its keys, and how to ask it about tokens. */

import { UndecidedError } from '../token/errors.ts'
import type { ClaimPath } from '../token/roles.ts'
import type { Introspection, IntrospectionSettings } from './introspection.ts'
import type { Jwks, KeySet, KeySetEvent, KeySetOptions } from './keys/key-set.ts'
import { createStaticKeySet } from './keys/key-set.ts'
import { createRemoteKeySet } from './keys/remote-key-set.ts'

/**
 * A rule of the application about the claims of a token whose signature and registered claims are good already. Only
 * `true` accepts; anything else refuses. It is asked once per token and the answer is remembered with the token, so it
 * must depend on the claims alone. If it throws, the token is undecided.
 */
export type ClaimRule = (claims: Readonly<Record<string, unknown>>) => boolean

/** What the claims of an issuer's tokens must satisfy. */
export interface ClaimPolicy {
  readonly audience: readonly string[] | null
  readonly requiredClaims: readonly string[]
  readonly clockToleranceSeconds: number
  readonly maxTokenAgeSeconds: number | undefined
  readonly maxLifetimeSeconds: number | undefined
}

/** The checked settings of an issuer, every default filled in. */
export interface IssuerSettings extends ClaimPolicy {
  readonly issuer: string
  readonly jwks: Jwks | undefined
  readonly jwksUri: string | undefined
  readonly algorithms: readonly string[]
  /** `null`: `at+jwt`, `JWT` or none. */
  readonly typ: readonly string[] | null
  readonly requiredScopes: readonly string[]
  readonly scopeClaims: readonly string[]
  readonly roleClaims: readonly ClaimPath[]
  readonly claimRules: readonly ClaimRule[]
  readonly maxTokenBytes: number
  readonly keySet: KeySetOptions
  readonly introspection: IntrospectionSettings | undefined
}

export interface Issuer extends Omit<IssuerSettings, 'introspection'> {
  /** Where its options are: `issuers[0]`. */
  readonly path: string
  readonly keys: KeySet
  readonly introspection: Introspection | undefined
}

/** An issuer that can be asked about its tokens. */
export interface IntrospectingIssuer extends Issuer {
  readonly introspection: Introspection
}

export type IssuerObserver = (issuer: string) => (event: KeySetEvent) => void

export function createIssuer(settings: IssuerSettings, path: string, observe: IssuerObserver): Issuer {
  const { issuer, jwks, jwksUri, introspection } = settings
  const keys =
    jwks === undefined
      ? createRemoteKeySet(issuer, jwksUri, settings.keySet, observe(issuer))
      : createStaticKeySet(jwks)
  return {
    ...settings,
    path,
    keys,
    introspection: introspection === undefined ? undefined : loadIntrospection(issuer, introspection),
  }
}

/** Starts to load the protocol, which only issuers of opaque tokens need. Tokens wait for it. */
function loadIntrospection(issuer: string, settings: IntrospectionSettings): Introspection {
  const loading = import('./introspection.ts').then(({ createIntrospection }) => createIntrospection(issuer, settings))
  // Each token learns of the failure; without one there is nothing to report.
  loading.catch(() => undefined)
  return async (token) => {
    const introspect = await loading.catch(() => undefined)
    if (introspect === undefined) throw new UndecidedError('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
    return await introspect(token)
  }
}
