/** Records what is decided on one message: on its span, in the audit trail and in the metrics. */

import type { Context } from '@opentelemetry/api'
import { trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import { attributesOf } from '../destination/decision.ts'
import { announcedTarget } from '../destination/target.ts'
import type { Entrance } from '../ingress/admission.ts'
import type { HandledAs } from '../propagation/delivery.ts'
import type { DestinationAttributes, MessageVerdict } from '../telemetry/events.ts'
import { measureMessage } from '../telemetry/metrics.ts'
import { recordOnSpan } from '../telemetry/record.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

export class MessageReport {
  readonly #ctx: Context
  readonly #audit: Pick<Audit, 'acknowledged'> | undefined
  readonly #system: string | undefined
  readonly #source: DestinationAttributes | undefined
  #isRecorded = false

  constructor(ctx: Context, source: string, audit: Pick<Audit, 'acknowledged'> | undefined) {
    const target = announcedTarget(source)
    const messaging = target?.kind === 'messaging' ? target : undefined
    this.#ctx = ctx
    this.#audit = audit
    this.#system = messaging?.system
    this.#source = messaging === undefined ? undefined : attributesOf(messaging)
  }

  get isRecorded(): boolean {
    return this.#isRecorded
  }

  record(verdict: MessageVerdict, code: TokenErrorCode | undefined, origin?: VerifiedCredential): void {
    this.#isRecorded = true
    const source = this.#source
    recordOnSpan(trace.getSpan(this.#ctx), { name: 'auth.message.decided', verdict, code, origin, source })
  }

  measure(verdict: MessageVerdict, code: TokenErrorCode | undefined): void {
    measureMessage({ verdict, code, system: this.#system })
  }

  /**
   * Returns the `record` of an entrance. It records one decision once, although admission may ask for it several times.
   */
  recordOnce(
    handledAs: (credential: VerifiedCredential | undefined) => HandledAs,
    origin?: VerifiedCredential,
  ): NonNullable<Entrance['record']> {
    let acknowledged: boolean | Promise<boolean> | undefined
    return (credential) => {
      if (acknowledged !== undefined) return acknowledged
      this.record(handledAs(credential), undefined, origin)
      acknowledged = this.#audit?.acknowledged()?.then((isKept) => {
        acknowledged = isKept
        return isKept
      })
      acknowledged ??= true
      return acknowledged
    }
  }
}
