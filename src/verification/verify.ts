/** How one token is verified, from beginning to end: text, issuer, header, claims, keys, signature, rules. */

import type { Eventual } from '../base/chain.ts'
import { chain } from '../base/chain.ts'
import { ownProperty } from '../base/own-property.ts'
import type { DecodedJws } from '../token/compact-jws.ts'
import { claimsIn, decodeCompactJws, isJws } from '../token/compact-jws.ts'
import { TokenError } from '../token/errors.ts'
import type { Claims, CredentialPolicy, VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import type { Validity } from './claim-rules.ts'
import { checkClaims, validityOf } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { IntrospectingIssuer, Issuer } from './issuer.ts'
import type { Issuers } from './issuers.ts'
import type { PublishedKey } from './keys/published-keys.ts'
import { errorOf } from './refusal.ts'
import {
  malformedError,
  ruleError,
  signatureError,
  tooLargeError,
  unknownIssuerError,
  unknownKeyError,
} from './refusals.ts'
import { findVerifyingKey } from './signature.ts'

/** A verified token, and what its verification rests on. */
export interface Verification extends Validity {
  readonly credential: VerifiedCredential
  readonly issuer: Issuer
  /** The key that verified it; `undefined` if the issuer was asked instead. */
  readonly keyThumbprint: string | undefined
}

export interface VerifyOptions {
  readonly issuers: Issuers
  /** What the credentials of an issuer have in common. */
  readonly policyOf: (issuer: Issuer) => CredentialPolicy
  /** The time to verify as of. Default: now. */
  readonly at?: Date
}

/**
 * Verifies `text`, which may be of any form. What can be refused without a key is refused at once: a made-up token
 * costs no promise, no fetch and no signature check. Otherwise the promise resolves, or rejects with any error.
 */
export function verify(text: string, options: VerifyOptions): TokenError | Promise<Verification> {
  const issuer = options.issuers.introspecting
  return issuer === undefined || isJws(text) ? verifyJws(text, options) : verifyOpaque(text, issuer, options)
}

/** Verifies a JWS by the keys that its issuer publishes. */
export function verifyJws(text: string, options: VerifyOptions): TokenError | Promise<Verification> {
  const jws = decodeCompactJws(text)
  if (jws === undefined) return malformedError(text)
  const issuer = findIssuer(jws, options.issuers)
  const validated = chain(issuer, (found) =>
    found === undefined ? unknownIssuerError(jws, options.issuers) : validateWithoutKey(text, jws, found, options.at),
  )
  return validated instanceof TokenError ? validated : verifyWithKeys(text, validated, options)
}

/** The unverified `iss` chooses the issuer, and with it the only keys that may verify the token (RFC 8725 §3.8). */
export function findIssuer({ payload }: DecodedJws, issuers: Issuers): Eventual<Issuer | undefined> {
  const iss = ownProperty(payload, 'iss')
  return typeof iss === 'string' ? issuers.find(iss) : undefined
}

/** A JWS that passed every check that needs no key. */
interface ValidatedJws extends DecodedJws {
  readonly issuer: Issuer
  /** Those that may have signed it. */
  readonly keys: Eventual<readonly PublishedKey[]>
}

function validateWithoutKey(
  text: string,
  { header, payload }: DecodedJws,
  issuer: Issuer,
  at: Date | undefined,
): ValidatedJws | TokenError {
  if (text.length > issuer.maxTokenBytes) return tooLargeError(issuer)
  const refusal = checkHeader(header, issuer) ?? checkClaims(payload, issuer, (at?.getTime() ?? Date.now()) / 1000)
  if (refusal !== undefined) return errorOf(refusal, issuer)
  const keys = issuer.keys.candidates(header, issuedAtOf(payload))
  if (!(keys instanceof Promise) && keys.length === 0) return unknownKeyError(header, issuer)
  return { header, payload, issuer, keys }
}

async function verifyWithKeys(
  text: string,
  validated: Eventual<ValidatedJws | TokenError>,
  { policyOf }: VerifyOptions,
): Promise<Verification> {
  // Each `await` costs a turn, also of what is there already.
  const jws = validated instanceof Promise ? await validated : validated
  if (jws instanceof TokenError) throw jws
  const { header, payload, issuer } = jws
  const keys = jws.keys instanceof Promise ? await jws.keys : jws.keys
  if (keys.length === 0) throw unknownKeyError(header, issuer)
  const key = (await findVerifyingKey(text, algorithmOf(jws), keys)) ?? (await findNewKey(text, jws, keys))
  const credential = createVerifiedCredential({ text, policy: policyOf(issuer), claims: payload, readClaims: claimsIn })
  checkRules(credential, issuer)
  const { from, until } = validityOf(payload, issuer)
  return { credential, issuer, keyThumbprint: key.thumbprint, from, until }
}

/** `checkHeader` has seen that it is a text. */
export function algorithmOf({ header }: DecodedJws): string {
  return ownProperty(header, 'alg') as string
}

/** Some issuers give a new key the name of the old one, or none: a signature that does not fit may be the new key's. */
async function findNewKey(text: string, jws: ValidatedJws, known: readonly PublishedKey[]): Promise<PublishedKey> {
  const { header, payload, issuer } = jws
  const others = await issuer.keys.refetch(header, known, issuedAtOf(payload)).catch((undecided: unknown) => {
    // A token that names a published key and was not signed with it is forged. One that names none may be of a new key.
    throw ownProperty(header, 'kid') === undefined ? undecided : signatureError(known.length, issuer)
  })
  const key = await findVerifyingKey(text, algorithmOf(jws), others)
  if (key === undefined) throw signatureError(known.length + others.length, issuer)
  return key
}

export function issuedAtOf(payload: Claims): number | undefined {
  const iat = ownProperty(payload, 'iat')
  return typeof iat === 'number' ? iat * 1000 : undefined
}

/** Asks the rules of the application. They get frozen claims, so that one cannot change what the next one sees. */
function checkRules(credential: VerifiedCredential, issuer: Issuer): void {
  const failed = issuer.claimRules.findIndex((rule) => rule(credential.claims) !== true)
  if (failed !== -1) throw ruleError(failed, issuer)
}

/** Verifies an opaque token by asking its issuer (RFC 7662). */
function verifyOpaque(
  text: string,
  issuer: IntrospectingIssuer,
  options: VerifyOptions,
): TokenError | Promise<Verification> {
  if (text.length > issuer.maxTokenBytes) return tooLargeError(issuer)
  return verifyByIntrospection(text, issuer, options)
}

async function verifyByIntrospection(
  text: string,
  issuer: IntrospectingIssuer,
  { policyOf }: VerifyOptions,
): Promise<Verification> {
  const { claims, cachedUntil } = await issuer.introspection(text)
  const refusal = checkClaims(claims, issuer)
  if (refusal !== undefined) throw errorOf(refusal, issuer)
  const credential = createVerifiedCredential({ text, policy: policyOf(issuer), claims })
  checkRules(credential, issuer)
  const { from, until } = validityOf(claims, issuer)
  // The answer is not used past `exp`, not even by the tolerance: the issuer can be asked again.
  const askedAgainAt = Math.min(until - issuer.clockToleranceSeconds, cachedUntil)
  return { credential, issuer, keyThumbprint: undefined, from, until: askedAgainAt }
}
