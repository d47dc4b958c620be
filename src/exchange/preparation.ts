/** Gets the tokens that a decision will need, before it is made: a decision never waits. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import type { Caller } from '../context/caller.ts'
import type { DecideOptions, Decision } from '../destination/decision.ts'
import { callerWithToken, decideHop } from '../destination/decision.ts'
import type { Target } from '../destination/pattern.ts'
import type { ExchangeRule, Rule } from '../destination/rules.ts'
import { ExchangeError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Exchanger } from './exchanger.ts'
import type { GetTokenOptions } from './token-source.ts'

export interface Preparation {
  /** See `DecideOptions`. */
  readonly exchanged: DecideOptions['exchanged']
  /** Returns what a request must wait for before it is decided; `undefined` if there is nothing. Never rejects. */
  beforeDispatch(ctx: Context, targetOf: () => Target | undefined): Promise<void> | undefined
  /**
   * Gets the token that the caller of `ctx` needs at `target`, for a call that takes `validForMillis`. Resolves with
   * what would be sent now; with `undefined` if nothing would be: there is no caller, no rule names the destination, or
   * the mode is `report`.
   *
   * @throws ExchangeError, TokenRejectedError, UndecidedError, and the reason of `signal`.
   */
  prepare(ctx: Context, target: Target, options: GetTokenOptions): Promise<VerifiedCredential | undefined>
  /**
   * Gets another token for the caller of `ctx` after `target` has answered `refused` with 401. Resolves with whether
   * there is one: the caller's own token cannot be renewed. Never rejects.
   */
  renew(ctx: Context, target: Target, refused: VerifiedCredential): Promise<boolean>
  /** Whether a rule says to exchange at ingress. */
  readonly exchangesAtIngress: boolean
  /** Gets what the rules say to exchange at ingress; `undefined` if all of it is at hand. Never rejects. */
  exchangeAtIngress(subject: VerifiedCredential): Promise<void> | undefined
}

export interface PreparationOptions extends Omit<DecideOptions, 'exchanged'> {
  readonly exchangers: ReadonlyMap<string, Exchanger>
  /** All rules, to find those that are prepared at ingress. */
  readonly listed: readonly Rule[]
}

export function createPreparation(options: PreparationOptions): Preparation {
  return new ExchangePreparation(options)
}

class ExchangePreparation implements Preparation {
  readonly #exchangers: ReadonlyMap<string, Exchanger>
  readonly #options: DecideOptions
  readonly #exchanges: boolean
  readonly #atIngress: readonly ExchangeRule[]

  constructor({ exchangers, listed, ...deciding }: PreparationOptions) {
    this.#exchangers = exchangers
    this.#options = { ...deciding, exchanged: this.exchanged }
    this.#exchanges = listed.some(({ exchange }) => exchange !== undefined)
    this.#atIngress = listed.flatMap(({ exchange }) => (exchange?.prepare === 'ingress' ? [exchange] : []))
  }

  readonly exchanged: DecideOptions['exchanged'] = (subject, request) =>
    this.#exchangers.get(subject.issuer)?.current(subject, request)

  beforeDispatch(ctx: Context, targetOf: () => Target | undefined): Promise<void> | undefined {
    const caller = this.#callerOf(ctx)
    if (caller === undefined || !(this.#exchanges || caller.isRenewed)) return undefined
    const target = targetOf()
    if (target === undefined || this.#options.rules.match(target) === undefined) return undefined
    const renewal = caller.renewal()
    if (renewal === undefined) return this.#getMissing(ctx, caller, target)
    return renewal.then(() => this.#getMissing(ctx, caller, target))
  }

  async prepare(ctx: Context, target: Target, options: GetTokenOptions): Promise<VerifiedCredential | undefined> {
    const caller = this.#callerOf(ctx)
    if (caller === undefined || this.#options.rules.match(target) === undefined) return undefined
    await caller.renewal(options)
    options.signal?.throwIfAborted()
    await this.#getOrFallBack(ctx, caller, target, options)
    // Decided again: meanwhile the token may have been revoked.
    const outcome = this.#decide(caller, target)
    throwIfUnusable(outcome)
    if (outcome.verdict === 'withhold') return undefined
    // The caller's own token cannot be had again: the service that is called decides how long it is good.
    const canBeRenewed = outcome.verdict === 'exchange' || caller.isRenewed
    const until = Date.now() + (options.validForMillis ?? 0)
    if (canBeRenewed && outcome.credential.expiresAtMillis <= until) {
      throw new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
    }
    return outcome.credential
  }

  async renew(ctx: Context, target: Target, refused: VerifiedCredential): Promise<boolean> {
    const caller = this.#callerOf(ctx)
    if (caller === undefined) return false
    const decision = this.#decide(caller, target)
    if (decision.verdict === 'exchange') {
      await context.with(ctx, () => this.#renewExchanged(decision, refused)).catch(ignore)
    } else await caller.replace(refused)
    const outcome = this.#decide(caller, target)
    return outcome.verdict !== 'withhold' && outcome.credential !== refused
  }

  get exchangesAtIngress(): boolean {
    return this.#options.mode === 'enforce' && this.#atIngress.length > 0
  }

  exchangeAtIngress(subject: VerifiedCredential): Promise<void> | undefined {
    if (!this.exchangesAtIngress) return undefined
    const missing = this.#atIngress.filter(({ request }) => this.exchanged(subject, request) === undefined)
    if (missing.length === 0) return undefined
    return Promise.all(missing.map((rule) => this.#exchange(subject, rule).catch(ignore))).then(ignore)
  }

  #callerOf(ctx: Context): Caller | undefined {
    return this.#options.mode === 'enforce' ? callerWithToken(ctx) : undefined
  }

  #decide(caller: Caller, target: Target): Decision {
    return decideHop(caller, { target, obstacle: undefined }, this.#options)
  }

  /** Gets the token that alone keeps the caller's request to `target` from being sent with one. */
  #getMissing(ctx: Context, caller: Caller, target: Target): Promise<void> | undefined {
    const rule = missingExchange(this.#decide(caller, target))
    const { state } = caller
    if (rule === undefined || state.status !== 'verified') return undefined
    return context.with(ctx, () => this.#exchange(state.credential, rule)).catch(ignore)
  }

  /** A failure counts only if the rule does not send the caller's own token instead. */
  async #getOrFallBack(ctx: Context, caller: Caller, target: Target, options: GetTokenOptions): Promise<void> {
    const decision = this.#decide(caller, target)
    throwIfUnusable(decision)
    const rule = wantedExchange(decision)
    const { state } = caller
    if (rule === undefined || state.status !== 'verified') return
    try {
      await context.with(ctx, () => this.#exchange(state.credential, rule, options))
    } catch (error) {
      if (!(error instanceof ExchangeError) || rule.onFailure === 'withhold') throw error
    }
  }

  async #exchange(subject: VerifiedCredential, { request }: ExchangeRule, options?: GetTokenOptions): Promise<void> {
    const exchanger = this.#exchangers.get(subject.issuer)
    if (exchanger === undefined) throw new ExchangeError('ERR_TOKEN_EXCHANGE_REFUSED')
    await exchanger.get(subject, request, options)
  }

  async #renewExchanged({ subject, rule }: ExchangeDecision, refused: VerifiedCredential): Promise<void> {
    const exchanger = this.#exchangers.get(subject.issuer)
    if (rule.exchange !== undefined) await exchanger?.renew(subject, rule.exchange.request, refused)
  }
}

type ExchangeDecision = Decision & { readonly verdict: 'exchange' }

/** Returns the exchange of the rule, if its result would be used. */
function wantedExchange(decision: Decision): ExchangeRule | undefined {
  const isUsed = decision.verdict !== 'withhold' || decision.reason === 'not_exchanged'
  return isUsed ? decision.rule?.exchange : undefined
}

/** Returns the exchange whose result is wanted and not at hand. */
function missingExchange(decision: Decision): ExchangeRule | undefined {
  return decision.verdict === 'exchange' ? undefined : wantedExchange(decision)
}

/** No token is obtained for a caller whose own token is no longer good, or cannot be sent now. */
function throwIfUnusable(decision: Decision): void {
  if (decision.verdict !== 'withhold') return
  switch (decision.reason) {
    case 'expired':
      throw new TokenRejectedError('ERR_TOKEN_EXPIRED')
    case 'detached':
      // The request has ended, and with it its caller.
      throw new TokenRejectedError('ERR_TOKEN_MISSING')
    case 'revoked':
      throw new TokenRejectedError('ERR_TOKEN_REVOKED')
    case 'revocation_unavailable':
      throw new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
    case 'audit_failed':
      throw new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
    default:
      // Any other reason is one of the destination, not of the caller's token.
      return
  }
}

/** What could not be obtained is missing in the decision, and the token is then withheld for that reason. */
function ignore(): void {
  return undefined
}
