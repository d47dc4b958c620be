/** Every rule of a verification by itself, in its order, for an operator who looks at one token. */

import { decodeCompactJws, isJws } from '../token/compact-jws.ts'
import { asTokenError, TokenError } from '../token/errors.ts'
import { CLAIM_RULES } from './claim-rules.ts'
import { HEADER_RULES } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import type { PublishedKey } from './keys/published-keys.ts'
import { errorOf } from './refusal.ts'
import {
  malformedError,
  scopeError,
  signatureError,
  tooLargeError,
  unknownIssuerError,
  unknownKeyError,
} from './refusals.ts'
import { findVerifyingKey } from './signature.ts'
import type { VerifyOptions } from './verify.ts'
import { algorithmOf, findIssuer, issuedAtOf, verify } from './verify.ts'

/** What one rule says about the token. */
export interface RuleOutcome {
  /**
   * `form`, `issuer`, `size`, a name of the header or claim rules, `key`, `signature`, `claimRules` or
   * `requiredScopes`.
   */
  readonly rule: string
  /** `skipped`: it could not be asked, because an earlier rule refuses what it relies on. */
  readonly outcome: 'passed' | 'refused' | 'undecided' | 'skipped'
  /** Of a rule that refuses or cannot decide; `detailOf` knows more. */
  readonly error: TokenError | undefined
}

export interface Walk {
  readonly rules: readonly RuleOutcome[]
  /** Whose rules they are; `undefined` if there is no such issuer. */
  readonly issuer: Issuer | undefined
  /** The verdict of the verification itself, required scopes included; `undefined` if it accepts the token. */
  readonly error: TokenError | undefined
}

type Jws = NonNullable<ReturnType<typeof decodeCompactJws>>

/** Asks every rule about `text`, also those after the first that refuses. Never throws. */
export async function walkRules(text: string, options: VerifyOptions): Promise<Walk> {
  const { issuers } = options
  const jws = decodeCompactJws(text)
  const verdict = await verdictOf(text, options)
  if (jws === undefined) {
    const isOpaque = issuers.introspecting !== undefined && !isJws(text)
    const form = isOpaque ? passed('form') : refused('form', malformedError(text))
    return { rules: [form, ...restOf(verdict, isOpaque)], issuer: verdict.issuer, error: verdict.error }
  }
  const found = await Promise.resolve(findIssuer(jws, issuers)).catch(() => undefined)
  // Most services have one issuer: with a wrong `iss` its other rules are worth a look, too.
  const issuer = found ?? (issuers.configured.length === 1 ? issuers.configured[0] : undefined)
  const named = found === undefined ? refused('issuer', unknownIssuerError(jws, issuers)) : passed('issuer')
  const rules = issuer === undefined ? [] : await rulesOf(text, jws, issuer)
  return { rules: [passed('form'), named, ...rules, ...restOf(verdict, true)], issuer, error: verdict.error }
}

const passed = (rule: string): RuleOutcome => ({ rule, outcome: 'passed', error: undefined })
const skipped = (rule: string): RuleOutcome => ({ rule, outcome: 'skipped', error: undefined })

function refused(rule: string, error: TokenError | undefined): RuleOutcome {
  if (error === undefined) return passed(rule)
  return { rule, outcome: error.status === 503 ? 'undecided' : 'refused', error }
}

async function rulesOf(text: string, jws: Jws, issuer: Issuer): Promise<readonly RuleOutcome[]> {
  const size = refused('size', text.length > issuer.maxTokenBytes ? tooLargeError(issuer) : undefined)
  const header = Object.entries(HEADER_RULES).map(([name, rule]) => {
    const refusal = rule(jws.header, issuer)
    return refused(name, refusal === undefined ? undefined : errorOf(refusal, issuer))
  })
  // No key is looked for on behalf of an algorithm that is not accepted.
  const hasKey = header.every(({ rule, outcome }) => outcome === 'passed' || rule === 'type')
  const signature = hasKey ? await signatureRules(text, jws, issuer) : [skipped('key'), skipped('signature')]
  return [size, ...header, ...claimOutcomes(jws, issuer), ...signature]
}

/** The rules behind `requiredClaims` compute with what it has checked. */
function claimOutcomes({ payload }: Jws, issuer: Issuer): readonly RuleOutcome[] {
  let relies = true
  return Object.entries(CLAIM_RULES).map(([name, rule]) => {
    if (!relies) return skipped(name)
    const refusal = rule(payload, issuer, Date.now() / 1000)
    if (name === 'requiredClaims' && refusal !== undefined) relies = false
    return refused(name, refusal === undefined ? undefined : errorOf(refusal, issuer))
  })
}

async function signatureRules(text: string, jws: Jws, issuer: Issuer): Promise<readonly RuleOutcome[]> {
  const keys = await candidatesOf(jws, issuer)
  if (keys instanceof TokenError) return [refused('key', keys), skipped('signature')]
  if (keys.length === 0) return [refused('key', unknownKeyError(jws.header, issuer)), skipped('signature')]
  try {
    const key = await findVerifyingKey(text, algorithmOf(jws), keys)
    return [passed('key'), refused('signature', key === undefined ? signatureError(keys.length, issuer) : undefined)]
  } catch (error) {
    return [passed('key'), refused('signature', asTokenError(error))]
  }
}

async function candidatesOf({ header, payload }: Jws, issuer: Issuer): Promise<readonly PublishedKey[] | TokenError> {
  try {
    return await issuer.keys.candidates(header, issuedAtOf(payload))
  } catch (error) {
    return asTokenError(error)
  }
}

interface Verdict {
  readonly issuer: Issuer | undefined
  readonly error: TokenError | undefined
}

/** The verification itself decides, whatever its rules say one by one. */
async function verdictOf(text: string, options: VerifyOptions): Promise<Verdict> {
  try {
    const outcome = verify(text, options)
    if (outcome instanceof TokenError) return { issuer: undefined, error: outcome }
    const { credential, issuer } = await outcome
    return { issuer, error: scopeError(credential, issuer) }
  } catch (error) {
    return { issuer: undefined, error: asTokenError(error) }
  }
}

/** The rules that are asked about verified tokens only. */
function restOf({ error, issuer }: Verdict, isAsked: boolean): readonly RuleOutcome[] {
  if (isAsked && issuer !== undefined) return [passed('claimRules'), refused('requiredScopes', error)]
  const claimRules = error?.code === 'ERR_TOKEN_RULE' ? refused('claimRules', error) : skipped('claimRules')
  return [claimRules, skipped('requiredScopes')]
}
