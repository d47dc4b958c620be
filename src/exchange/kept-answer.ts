/** How an answer of the token endpoint is kept in the shared cache: under which key, and as which text. */

import { hash } from '../base/newer-functions.ts'
import type { TokenRequest } from '../destination/token-request.ts'
import { keyOfRequest } from '../destination/token-request.ts'
import { SealError } from '../token/errors.ts'
import type { Claims } from '../token/verified-credential.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenResponse } from './token-protocol.ts'

/** All that a kept answer depends on: the subject's whole text and claims, the client, and the request. */
export interface KeyParts {
  readonly issuer: string
  readonly settings: ClientSettings
  readonly subject: { readonly text: string; readonly claims: Claims }
  readonly request: TokenRequest
}

/**
 * Hashes JSON, in which no part can be mistaken for a separator. Tokens cannot be guessed, so the hash reveals none.
 */
export function sharedKeyOf({ issuer, settings, subject, request }: KeyParts): string {
  const { tokenEndpoint = null, clientId, grant, actor, subjectClaim } = settings
  const client = [issuer, tokenEndpoint, clientId, grant, actor, subjectClaim]
  const parts = [1, client, subject.text, sortMembers(subject.claims), keyOfRequest(request)]
  return hash('sha256', JSON.stringify(parts), 'base64url')
}

/** Makes equal claims one text: an issuer that is asked about a token may return them in another order. */
function sortMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortMembers)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([name, member]) => [name, sortMembers(member)])
}

export interface KeptAnswer {
  readonly response: TokenResponse
  readonly obtainedAtMillis: number
}

/** Encodes in base64url: sealing takes texts with the characters of a token (RFC 6750 §2.1). */
export function encodeAnswer({ response, obtainedAtMillis }: KeptAnswer): string {
  const { accessToken, tokenType, expiresInSeconds, scope, issuedTokenType } = response
  const kept = { accessToken, tokenType, expiresInSeconds, scope, issuedTokenType, obtainedAtMillis }
  return Buffer.from(JSON.stringify(kept)).toString('base64url')
}

/** Throws if another version of this package has written something else. */
export function decodeAnswer(text: string): KeptAnswer {
  const kept = JSON.parse(Buffer.from(text, 'base64url').toString()) as Readonly<Record<string, unknown>>
  const optional = (name: string, type: 'string' | 'number'): unknown => {
    const value = Object.hasOwn(kept, name) ? kept[name] : undefined
    if (value !== undefined && typeof value !== type) throw new SealError()
    return value
  }
  const required = (name: string, type: 'string' | 'number'): unknown => {
    const value = optional(name, type)
    if (value === undefined) throw new SealError()
    return value
  }
  return {
    obtainedAtMillis: required('obtainedAtMillis', 'number') as number,
    response: {
      accessToken: required('accessToken', 'string') as string,
      tokenType: required('tokenType', 'string') as string,
      expiresInSeconds: optional('expiresInSeconds', 'number') as number | undefined,
      scope: optional('scope', 'string') as string | undefined,
      issuedTokenType: optional('issuedTokenType', 'string') as string | undefined,
      refreshToken: undefined,
    },
  }
}
