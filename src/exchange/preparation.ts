/** Gets the tokens that a decision will need, before it is made: deciding itself never waits. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import type { CredentialSlot } from '../context/slot.ts'
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
  /** What to wait for before a hop is decided; `undefined` where that would change nothing. Never rejects. */
  before(ctx: Context, targetOf: () => Target | undefined): Promise<void> | undefined
  /**
   * Gets what the caller of `ctx` needs at `target`, for a call that takes `validForMillis`, and resolves with what would
   * be sent now; with `undefined` where that is nothing: nobody is calling, no rule names the destination, or the mode is
   * `report`.
   *
   * @throws ExchangeError, TokenRejectedError, UndecidedError, and the reason of `signal`.
   */
  prepare(ctx: Context, target: Target, options: GetTokenOptions): Promise<VerifiedCredential | undefined>
  /**
   * Gets another token for the caller of `ctx` where `target` has answered 401 to `refused`. Whether there is one: the
   * caller's own cannot be renewed. Never rejects.
   */
  renew(ctx: Context, target: Target, refused: VerifiedCredential): Promise<boolean>
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
  const enforces = deciding.mode === 'enforce'
  const exchanges = listed.some(({ exchange }) => exchange !== undefined)
  const atIngress = listed.flatMap(({ exchange }) => (exchange?.prepare === 'ingress' ? [exchange] : []))

  async function get(subject: VerifiedCredential, { request }: ExchangeRule, getOptions?: GetTokenOptions) {
    const exchanger = exchangers.get(subject.issuer)
    if (exchanger === undefined) throw new ExchangeError('ERR_TOKEN_EXCHANGE_REFUSED')
    await exchanger.get(subject, request, getOptions)
  }

  function decide(slot: CredentialSlot, target: Target): Decision {
    return decideHop(slot, { target, obstacle: undefined }, options)
  }

  /** What the caller lacks at `target`, and nothing else keeps it from being sent there. */
  function lackingAt(ctx: Context, slot: CredentialSlot, target: Target): Promise<void> | undefined {
    const decision = decide(slot, target)
    const { state } = slot
    if (decision.verdict === 'exchange' || state.status !== 'verified') return undefined
    const wanted = exchangeFor(decision)
    if (wanted === undefined) return undefined
    return context.with(ctx, () => get(state.credential, wanted)).catch(ignore)
  }

  type Exchange = Decision & { readonly verdict: 'exchange' }
  async function renewExchanged({ subject, rule }: Exchange, refused: VerifiedCredential): Promise<void> {
    const exchanger = exchangers.get(subject.issuer)
    if (rule.exchange !== undefined) await exchanger?.renew(subject, rule.exchange.request, refused)
  }

  /** For calls that send the caller's own token where there is no other one, the failure is none. */
  async function getOrFallBack(subject: VerifiedCredential, rule: ExchangeRule, getOptions: GetTokenOptions) {
    try {
      await get(subject, rule, getOptions)
    } catch (error) {
      if (!(error instanceof ExchangeError) || rule.onFailure === 'withhold') throw error
    }
  }

  return {
    exchanged,
    before(ctx, targetOf) {
      const slot = enforces ? slotOf(ctx) : undefined
      if (slot === undefined || !(exchanges || slot.isRenewed)) return undefined
      const target = targetOf()
      if (target === undefined || options.rules.match(target) === undefined) return undefined
      const renewal = slot.renewal()
      return renewal === undefined ? lackingAt(ctx, slot, target) : renewal.then(() => lackingAt(ctx, slot, target))
    },
    async prepare(ctx, target, getOptions) {
      const slot = enforces ? slotOf(ctx) : undefined
      if (slot === undefined || options.rules.match(target) === undefined) return undefined
      await slot.renewal(getOptions)
      getOptions.signal?.throwIfAborted()
      const decision = decide(slot, target)
      refuseUseless(decision)
      const wanted = exchangeFor(decision)
      const { state } = slot
      if (wanted !== undefined && state.status === 'verified') {
        await context.with(ctx, () => getOrFallBack(state.credential, wanted, getOptions))
      }
      // Meanwhile it may have been revoked, or have been got for less than this call takes.
      const outcome = decide(slot, target)
      refuseUseless(outcome)
      if (outcome.verdict === 'withhold') return undefined
      const until = Date.now() + (getOptions.validForMillis ?? 0)
      if (outcome.credential.expiresAtMillis <= until) throw new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
      return outcome.credential
    },
    async renew(ctx, target, refused) {
      const slot = enforces ? slotOf(ctx) : undefined
      if (slot === undefined) return false
      const decision = decide(slot, target)
      if (decision.verdict === 'exchange')
        await context.with(ctx, () => renewExchanged(decision, refused)).catch(ignore)
      else await slot.replace(refused)
      const outcome = decide(slot, target)
      return outcome.verdict !== 'withhold' && outcome.credential !== refused
    },
    admit(subject) {
      if (!enforces) return undefined
      const missing = atIngress.filter(({ request }) => exchanged(subject, request) === undefined)
      if (missing.length === 0) return undefined
      return Promise.all(missing.map((wanted) => get(subject, wanted).catch(ignore))).then(ignore)
    },
  }
}

/** Which other token the rule wants, where one would be used. */
function exchangeFor(decision: Decision): ExchangeRule | undefined {
  const isUsed = decision.verdict !== 'withhold' || decision.reason === 'not_exchanged'
  return isUsed ? decision.rule?.exchange : undefined
}

/** No token is got for a caller whose own is not good any more, or cannot be sent now. */
function refuseUseless(decision: Decision): void {
  if (decision.verdict !== 'withhold') return
  if (decision.reason === 'expired') throw new TokenRejectedError('ERR_TOKEN_EXPIRED')
  if (decision.reason === 'revoked') throw new TokenRejectedError('ERR_TOKEN_REVOKED')
  if (decision.reason === 'revocation_unavailable') throw new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
  if (decision.reason === 'audit_failed') throw new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
}

/** What could not be got is missing when it is decided, and withheld then with its reason. */
function ignore(): void {
  return undefined
}
