/** What single methods of the relay do: verify one token, revoke one, say whether tokens can be decided. */

import type { Context } from '@opentelemetry/api'
import { trace } from '@opentelemetry/api'
import { Caller } from '../context/caller.ts'
import { callerOf } from '../context/credential-context.ts'
import type { Admit, Entrance } from '../ingress/admission.ts'
import { runInSpanOf } from '../messaging/admission.ts'
import type { OnUnavailable } from '../revocation/check.ts'
import type { RevocationEntry, RevocationList } from '../revocation/list.ts'
import { normalizeEntry } from '../revocation/list.ts'
import type { RevocationOutcome } from '../telemetry/events.ts'
import { measureRevocation } from '../telemetry/metrics.ts'
import { recordOnSpan } from '../telemetry/record.ts'
import { UnverifiedCredential } from '../token/credential.ts'
import { TokenRejectedError, withStack } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'
import type { Issuers } from '../verification/issuers.ts'

/** Recorded in the audit trail but not on a span: the application gets the answer directly. */
const SINGLE_TOKEN: Entrance = { requireToken: true, onSpan: false, prepare: false }

export async function verifyToken(token: string, admit: Admit, maxTokenBytes: number): Promise<VerifiedCredential> {
  const outcome = await admit(unverifiedCaller(token, maxTokenBytes), SINGLE_TOKEN)
  if (!outcome.admitted) throw withStack(outcome.error)
  return outcome.credential as VerifiedCredential
}

function unverifiedCaller(token: unknown, maxTokenBytes: number): Caller {
  if (typeof token !== 'string') return Caller.rejected(new TokenRejectedError('ERR_TOKEN_MALFORMED'))
  if (token.length > maxTokenBytes) return Caller.rejected(new TokenRejectedError('ERR_TOKEN_TOO_LARGE'))
  return Caller.unverified(new UnverifiedCredential(token))
}

const EXTRACTED: Entrance = { requireToken: true, onSpan: true, prepare: false }

/**
 * Opens and verifies the token that an extraction has put into `ctx`. Rejects with a `TokenError`, also if there is
 * none.
 */
export async function admitExtracted(ctx: Context, admit: Admit): Promise<void> {
  const caller = callerOf(ctx) ?? Caller.fromHeader({ kind: 'none' })
  const outcome = await runInSpanOf(ctx, () => admit(caller, EXTRACTED))
  if (!outcome.admitted) throw withStack(outcome.error)
}

/** Whether tokens can be decided now: the keys of all issuers are there, and the revocation list can be trusted. */
export function canVerify({ configured }: Issuers, list: RevocationList, onUnavailable: OnUnavailable): boolean {
  const waiting = configured.filter(({ keys, introspection }) => introspection === undefined && !keys.isReady())
  return waiting.length === 0 && (list.available || onUnavailable === 'accept')
}

export async function revoke(what: VerifiedCredential | RevocationEntry, list: RevocationList): Promise<void> {
  const entry = isVerifiedCredential(what) ? entryOf(what) : what
  const { kind, issuer, value: id } = normalizeEntry(entry)
  const record = (outcome: RevocationOutcome): void => {
    measureRevocation(kind, outcome)
    recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.revoked', kind, outcome, issuer, id })
  }
  try {
    await list.revoke(entry)
  } catch (error) {
    record('failure')
    throw error
  }
  record('success')
}

function entryOf({ issuer, tokenId, expiresAtMillis }: VerifiedCredential): RevocationEntry {
  if (tokenId === undefined) throw new TypeError('credential: has no tokenId; revoke its session or its subject')
  return { issuer, tokenId, expiresAtMillis }
}
