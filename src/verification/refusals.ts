/** The refusals of a token by its form, issuer and key, each with what the operator may know of it. */

import { ownProperty } from '../base/own-property.ts'
import type { DecodedJws } from '../token/compact-jws.ts'
import type { TokenRejectedError } from '../token/errors.ts'
import { InsufficientScopeError } from '../token/errors.ts'
import { quote, withDetail } from '../token/refusal-detail.ts'
import { missingScopes } from '../token/scopes.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Issuer } from './issuer.ts'
import type { Issuers } from './issuers.ts'
import { errorOf } from './refusal.ts'

/** By the number of segments: a JWE (RFC 7516 §7.1) and an opaque token are the usual mistakes. */
export function malformedError(text: string): TokenRejectedError {
  const segments = text.split('.', 6).length
  return errorOf({ code: 'ERR_TOKEN_MALFORMED', found: FORMS[segments] ?? 'it is no compact JWS' }, undefined)
}

const FORMS: Readonly<Record<number, string>> = {
  1: 'it is an opaque token, which only an issuer with introspection can verify',
  3: 'it has three segments, but they are not base64url of a JSON header, a JSON payload and a signature',
  5: 'it is an encrypted token (JWE), which only its recipient can read',
}

export function tooLargeError(issuer: Issuer): TokenRejectedError {
  const option = `maxTokenBytes is ${issuer.maxTokenBytes}`
  return errorOf({ code: 'ERR_TOKEN_TOO_LARGE', found: 'it is too large', option }, issuer)
}

export function unknownIssuerError({ payload }: DecodedJws, { configured }: Issuers): TokenRejectedError {
  const names = configured.map(({ issuer }) => issuer)
  const option = names.length === 0 ? 'resolveIssuer accepts others' : `issuers are ${quote(names)}`
  return errorOf(
    { code: 'ERR_TOKEN_ISSUER', found: describeIssuer(ownProperty(payload, 'iss'), names), option },
    undefined,
  )
}

/** A name that differs from a configured one by its end only says nothing more than that one. */
function describeIssuer(iss: unknown, names: readonly string[]): string {
  if (iss === undefined) return 'iss is absent'
  if (typeof iss !== 'string') return 'iss is not a text'
  const near = names.findIndex((name) => iss === `${name}/` || name === `${iss}/`)
  return near === -1 ? 'iss is another value' : `iss differs from issuers[${near}].issuer by its last slash`
}

export function unknownKeyError(header: DecodedJws['header'], issuer: Issuer): TokenRejectedError {
  const found = ownProperty(header, 'kid') === undefined ? 'no key has the alg of the token' : 'kid is another value'
  return errorOf({ code: 'ERR_TOKEN_KEY', found, note: `${issuer.path} has ${count(issuer.keys.size)}` }, issuer)
}

export function signatureError(tried: number, issuer: Issuer): TokenRejectedError {
  const note = `${count(tried)} of ${issuer.path} tried`
  return errorOf({ code: 'ERR_TOKEN_SIGNATURE', found: 'the signature is wrong', note }, issuer)
}

function count(keys: number): string {
  return keys === 1 ? '1 key' : `${keys} keys`
}

export function ruleError(index: number, issuer: Issuer): TokenRejectedError {
  const option = `claimRules[${index}] refuses`
  return errorOf({ code: 'ERR_TOKEN_RULE', found: 'a rule did not return true', option }, issuer)
}

/** It was good when it came, and was waited for too long. */
export function expiredError(issuer: Issuer): TokenRejectedError {
  return errorOf({ code: 'ERR_TOKEN_EXPIRED', found: 'exp has passed while the token was verified' }, issuer)
}

export function scopeError(credential: VerifiedCredential, issuer: Issuer): InsufficientScopeError | undefined {
  const { requiredScopes } = issuer
  const missing = requiredScopes.length === 0 ? [] : missingScopes(credential, requiredScopes)
  if (missing.length === 0) return undefined
  const expected = `${issuer.path}.requiredScopes has ${quote(requiredScopes)}`
  return withDetail(new InsufficientScopeError(requiredScopes), {
    found: `it lacks ${quote(missing)}`,
    expected,
    issuer: issuer.issuer,
  })
}
