/** As whom a message is worked on: its caller, with the token that came or a fresh one; the service itself; or not at all. */

import type { Context } from '@opentelemetry/api'
import { trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import { deleteCredential, getSlot, setSlot } from '../context/credential-context.ts'
import { CredentialSlot } from '../context/slot.ts'
import { attributesOf } from '../destination/hop-event.ts'
import type { ConsumeRule, Rules } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import { WHATEVER_IS_DEFAULT } from '../exchange/exchanger.ts'
import type { Exchangers } from '../exchange/exchangers.ts'
import type { TokenSource } from '../exchange/token-source.ts'
import type { AdmittedMessage } from '../propagation/delivery.ts'
import type { MessageReader } from '../propagation/message.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import type { MessageVerdict } from '../telemetry/auth-event.ts'
import { measureMessage } from '../telemetry/message-metrics.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import type { TokenError, TokenErrorCode } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'

/** Decides on the message that `ctx` was extracted from. Rejects with a `TokenError` where it must not be worked on (now). */
export type AdmitMessage = (ctx: Context, source: string) => Promise<AdmittedMessage>

export interface MessageAdmitterOptions {
  readonly rules: Rules
  readonly exchangers: Exchangers
  readonly messages: MessageReader
  readonly verifier: Verifier
  readonly checkRevocation: RevocationCheck
  /** Opens and verifies the token in a context, and tells it. Rejects with a `TokenError`. */
  readonly settle: (ctx: Context) => Promise<void>
  /** As whom a message is worked on has to be recorded there before. */
  readonly audit: Pick<Audit, 'acknowledged'> | undefined
}

const OWN = { refreshToken: undefined, request: WHATEVER_IS_DEFAULT }

/** A source that no rule names is as strict as one can be. */
const STRICT: ConsumeRule = { onExpired: 'reject', onMissing: 'reject' }

export function createMessageAdmitter(options: MessageAdmitterOptions): AdmitMessage {
  const { rules, exchangers, messages, verifier, checkRevocation, settle, audit } = options
  const workloads = new Map<string, TokenSource>()

  function ruleFor(source: string): ConsumeRule {
    const target = announcedTarget(source)
    return (target === undefined ? undefined : rules.match(target)?.consume) ?? STRICT
  }

  /** What came did not do. Rejects with `error`, or with what kept the message from being worked on otherwise. */
  async function admitOtherwise(ctx: Context, error: TokenError, rule: ConsumeRule): Promise<AdmittedMessage> {
    if (error.code === 'ERR_TOKEN_MISSING' && rule.onMissing === 'nobody') {
      return { as: 'nobody', context: deleteCredential(ctx), origin: undefined }
    }
    const slot = getSlot(ctx)
    const origin = slot === undefined || rule.onExpired === 'reject' ? undefined : await messages.origin(slot, verifier)
    if (origin === undefined) throw error
    return rule.onExpired === 'workload' ? admitWorkload(ctx, origin, error) : admitExchanged(ctx, origin, error)
  }

  async function admitWorkload(ctx: Context, origin: VerifiedCredential, error: TokenError): Promise<AdmittedMessage> {
    const source = workloads.get(origin.issuer) ?? exchangers.source({ ...OWN, issuer: origin.issuer })
    if (source === undefined) throw error
    workloads.set(origin.issuer, source)
    const slot = CredentialSlot.renewed(source, await source.get())
    return { as: 'workload', context: setSlot(ctx, slot), origin }
  }

  /** What was taken back is not given again. */
  async function admitExchanged(ctx: Context, origin: VerifiedCredential, error: TokenError): Promise<AdmittedMessage> {
    const exchanger = exchangers.byIssuer.get(origin.issuer)
    if (exchanger === undefined || error.code === 'ERR_TOKEN_REVOKED') throw error
    // It was refused for its age, before anybody asked whether it was taken back as well.
    const verdict = checkRevocation(origin)
    if (verdict === 'undecided') throw new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
    if (verdict === 'revoked') throw new TokenRejectedError('ERR_TOKEN_REVOKED')
    const fresh = await verifier.verify(await exchanger.reissue(origin))
    return { as: 'exchanged', context: setSlot(ctx, CredentialSlot.verified(fresh)), origin }
  }

  async function admit(ctx: Context, source: string): Promise<AdmittedMessage> {
    try {
      await settle(ctx)
    } catch (error) {
      return admitOtherwise(ctx, error as TokenError, ruleFor(source))
    }
    return { as: 'caller', context: ctx, origin: undefined }
  }

  return async (ctx, source) => {
    const tell = teller(ctx, source)
    try {
      const admitted = await admit(ctx, source)
      tell(admitted.as, undefined, admitted.origin)
      if ((await audit?.acknowledged()) === false) throw new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
      return admitted
    } catch (error) {
      const { code, retryable } = error as TokenError
      tell(retryable ? 'undecided' : 'rejected', code)
      throw error
    }
  }
}

type Tell = (verdict: MessageVerdict, code: TokenErrorCode | undefined, origin?: VerifiedCredential) => void

function teller(ctx: Context, name: string): Tell {
  const target = announcedTarget(name)
  const source = target?.kind === 'messaging' ? attributesOf(target) : undefined
  return (verdict, code, origin) => {
    recordOnSpan(trace.getSpan(ctx), { name: 'auth.message.decided', verdict, code, origin, source })
    measureMessage({ verdict, code, system: target?.kind === 'messaging' ? target.system : undefined })
  }
}
