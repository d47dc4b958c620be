/** Gets the tokens that a decision will need, before it is made: deciding itself never waits. */

import type { Context } from '@opentelemetry/api'
import type { DecideOptions, Decision } from '../destination/decision.ts'
import { decideHop, slotOf } from '../destination/decision.ts'
import type { Target } from '../destination/pattern.ts'
import type { ExchangeRule, Rule } from '../destination/rules.ts'
import { ExchangeError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Exchanger } from './exchanger.ts'
import type { GetTokenOptions } from './token-source.ts'

export interface Preparation {
  /** See `DecideOptions`. */
  readonly exchanged: DecideOptions['exchanged']
  /** What to wait for before a hop to `target` is decided; `undefined` where that would change nothing. Never rejects. */
  before(ctx: Context, target: Target): Promise<void> | undefined
  /**
   * Gets what the caller of `ctx` needs at `target`, for a call that takes `validForMillis`. Resolves where nothing is
   * needed: nobody is calling, or no rule names the destination.
   *
   * @throws ExchangeError, TokenRejectedError, UndecidedError
   */
  prepare(ctx: Context, target: Target, options: GetTokenOptions): Promise<void>
  /** Gets what every request of this caller may need, as the rules say. Never rejects; `undefined` where all is there. */
  admit(subject: VerifiedCredential): Promise<void> | undefined
}

export interface PreparationOptions extends Omit<DecideOptions, 'exchanged'> {
  readonly exchangers: ReadonlyMap<string, Exchanger>
  /** All rules, for those that are prepared at ingress. */
  readonly listed: readonly Rule[]
}

export function createPreparation({ exchangers, listed, ...deciding }: PreparationOptions): Preparation {
  const exchanged: DecideOptions['exchanged'] = (subject, request) =>
    exchangers.get(subject.issuer)?.current(subject, request)
  const options: DecideOptions = { ...deciding, exchanged }
  const hasExchange = listed.some(({ exchange }) => exchange !== undefined)
  const atIngress = listed.flatMap(({ exchange }) => (exchange?.prepare === 'ingress' ? [exchange] : []))

  async function get(subject: VerifiedCredential, { request }: ExchangeRule, getOptions?: GetTokenOptions) {
    const exchanger = exchangers.get(subject.issuer)
    if (exchanger === undefined) throw new ExchangeError('ERR_TOKEN_EXCHANGE_REFUSED')
    await exchanger.prepare(subject, request, getOptions)
  }

  return {
    exchanged,
    before(ctx, target) {
      if (!hasExchange) return undefined
      const slot = slotOf(ctx)
      if (slot?.state.status !== 'verified') return undefined
      const decision = decideHop(slot, { target, obstacle: undefined }, options)
      const wanted = isMissing(decision) ? decision.rule?.exchange : undefined
      return wanted === undefined ? undefined : get(slot.state.credential, wanted).catch(ignore)
    },
    async prepare(ctx, target, getOptions) {
      const slot = slotOf(ctx)
      if (slot?.state.status !== 'verified') return
      const { credential } = slot.state
      const decision = decideHop(slot, { target, obstacle: undefined }, options)
      if (decision.rule === undefined) return
      refuseUseless(decision)
      if (decision.rule.exchange !== undefined) return get(credential, decision.rule.exchange, getOptions)
      const until = Date.now() + (getOptions.validForMillis ?? 0)
      if (credential.expiresAtMillis <= until) throw new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
    },
    admit(subject) {
      const missing = atIngress.filter(({ request }) => exchanged(subject, request) === undefined)
      if (missing.length === 0) return undefined
      return Promise.all(missing.map((wanted) => get(subject, wanted).catch(ignore))).then(ignore)
    },
  }
}

/** Whether the rule wants another token than the one that would leave now. */
function isMissing({ rule, ...decision }: Decision): boolean {
  if (rule?.exchange === undefined) return false
  return decision.verdict === 'forward' || (decision.verdict === 'withhold' && decision.reason === 'not_exchanged')
}

/** No token is got for a caller whose own is not good any more. */
function refuseUseless(decision: Decision): void {
  if (decision.verdict !== 'withhold') return
  if (decision.reason === 'expired') throw new TokenRejectedError('ERR_TOKEN_EXPIRED')
  if (decision.reason === 'revoked') throw new TokenRejectedError('ERR_TOKEN_REVOKED')
  if (decision.reason === 'revocation_unavailable') throw new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
}

/** What could not be got is missing when it is decided, and withheld then with its reason. */
function ignore(): void {
  return undefined
}
