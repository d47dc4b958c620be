/** One configured issuer: whose tokens it signs, for whom, how, and with which keys. */

import type { Jwks, KeySet, KeySetEvent, KeySetOptions } from './key-set.ts'
import { createRemoteKeySet, createStaticKeySet } from './key-set.ts'

/** The checked settings of an issuer, every default filled in. */
export interface IssuerSettings {
  readonly issuer: string
  readonly audience: readonly string[] | null
  readonly jwks: Jwks | undefined
  readonly jwksUri: string | undefined
  readonly algorithms: readonly string[]
  readonly typ: string | null
  readonly requiredClaims: readonly string[]
  readonly clockToleranceSeconds: number
  readonly maxTokenAgeSeconds: number | undefined
  readonly maxTokenBytes: number
  readonly keySet: KeySetOptions
}

export interface Issuer extends IssuerSettings {
  readonly keys: KeySet
}

export function createIssuer(settings: IssuerSettings, onKeySetEvent: (event: KeySetEvent) => void): Issuer {
  const keys =
    settings.jwks === undefined
      ? createRemoteKeySet(settings.issuer, settings.jwksUri, settings.keySet, onKeySetEvent)
      : createStaticKeySet(settings.jwks)
  return { ...settings, keys }
}
