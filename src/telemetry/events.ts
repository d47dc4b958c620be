/** The events of a token's life: a closed set, each with a closed set of members. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** Why a token was not sent. `npm run reference` makes a page of it. */
export type WithholdReason =
  /** No rule names the destination. */
  | 'not_named'
  /** The token was refused or not checked: mode `off`, a public path, no gate. */
  | 'not_verified'
  /** `exp` plus `clockToleranceSeconds` has passed since the token was verified. */
  | 'expired'
  /** The token has been revoked since. */
  | 'revoked'
  /** The revocation list is unavailable or out of date, and `revocation.onUnavailable` is `reject`. */
  | 'revocation_unavailable'
  /**
   * The request or carrier has the application's own `Authorization`, or the gRPC call has its own call credentials:
   * they stay.
   */
  | 'own_credential'
  /** The destination has no unambiguous scheme, host and port. */
  | 'unknown_destination'
  /** The request goes to a Unix domain socket. */
  | 'unix_socket'
  /**
   * The request is a `CONNECT`, its target is in absolute form and meant for a forward proxy, or it is a gRPC call in
   * clear text through one.
   */
  | 'proxied'
  /**
   * The connection leads to another destination than the request names, or where it leads cannot be known: [clients
   * that connect by themselves](../guides/clients.md).
   */
  | 'custom_connection'
  /** The header section was written before the decision. */
  | 'headers_sent'
  /**
   * The caller of the request is unknown: it comes from a copy of undici that is not covered, or from a dispatcher that
   * was composed before the relay was created, or it has the application's own handler.
   */
  | 'unbound_dispatcher'
  /**
   * The work belongs to several callers (a batch of DataLoader, `runAsAll`), or the caller is unknown because an agent
   * or an undici interceptor queued the request or used one handler for several.
   */
  | 'ambiguous'
  /**
   * The response may go to another caller: through undici's cache or deduplicate interceptor, the [cache of
   * Next.js](../guides/clients.md#nextjs), an unknown interceptor that was composed before the relay was created, or
   * the application's own handler.
   */
  | 'shared_response'
  /** The request of the token has ended, and the rule does not say `detached: 'allow'`. */
  | 'detached'
  /** The header section would be larger than `maxHeaderBytes` of the rule. */
  | 'header_too_large'
  /** The destination is a queue, there is no key to seal the token, and the rule does not say `seal: false`. */
  | 'not_sealed'
  /** The message already has ten attributes, the limit of SQS and SNS. */
  | 'no_room'
  /** The rule wants an exchanged token, which is unavailable, or was not fetched before a client that cannot wait. */
  | 'not_exchanged'
  /** The token would have been forwarded, but `egress.mode` is `report`. */
  | 'report_only'
  /** The audit trail cannot be written, and `audit.onFailure` is `block`. */
  | 'audit_failed'

/** Whether a circuit breaker lets calls through, refuses them, or tries one call that decides. */
export type CircuitState = 'closed' | 'open' | 'half_open'

/** A service that clients call: its configured address, never one from a request. */
export type ServerAttributes = { readonly 'server.address': string; readonly 'server.port': number }

/** Where an outgoing request or message goes: host and port, or system and queue, and no more. */
export type DestinationAttributes = (
  | ServerAttributes
  | { readonly 'messaging.system': string; readonly 'messaging.destination.name': string }
) & {
  /** The entry that `destinations` has for it, or would need; none of where a message came from. */
  readonly 'auth.decision.destination'?: string
}

/** As whom a message is worked on, or that it is not: for good, or not now. */
export type MessageVerdict = 'caller' | 'exchanged' | 'workload' | 'no-caller' | 'rejected' | 'undecided'

/** What is revoked: one token, the tokens of a session, or those of a subject. */
export type RevocationKind = 'token' | 'session' | 'subject'

/** `failure`: other processes could not be informed. This process refuses the revoked tokens in any case. */
export type RevocationOutcome = 'success' | 'failure'

/** A token that was refused: what it says of itself, and by what it is found again. */
export interface PresentedToken {
  /** The accepted issuer that it names. */
  readonly issuer: string
  /** Computed when it is recorded. */
  readonly fingerprint: string
}

/** Something that happened to a token, or to the calls that carry one. */
export type AuthEvent =
  | {
      readonly name: 'auth.token.verified'
      readonly credential: VerifiedCredential
      /** How long the verification took; `undefined` if the token was remembered. */
      readonly seconds?: number | undefined
    }
  | {
      readonly name: 'auth.token.rejected'
      readonly code: TokenErrorCode
      /** The token, if it is valid but not sufficient. */
      readonly credential: VerifiedCredential | undefined
      /** The token that was not verified, if it names an accepted issuer. */
      readonly presented?: PresentedToken | undefined
      /** As of a verified one. */
      readonly seconds?: number | undefined
      /** The caller was let in nevertheless, without a credential. */
      readonly mode?: 'report' | undefined
    }
  | {
      /** A token that is not of an accepted issuer, and counts as none. */
      readonly name: 'auth.token.ignored'
      readonly code: TokenErrorCode
    }
  | {
      readonly name: 'auth.token.revoked'
      readonly kind: RevocationKind
      readonly outcome: RevocationOutcome
      readonly issuer: string
      /** `jti`, `sid` or `sub` of what was revoked, to be hashed. For the audit trail only. */
      readonly id: string
    }
  | { readonly name: 'auth.key_set.stale'; readonly issuer: string; readonly ageMillis: number }
  | {
      readonly name: 'auth.token.forwarded'
      readonly credential: VerifiedCredential
      /** The caller's own token, if another one was forwarded. */
      readonly subject: VerifiedCredential | undefined
      readonly rule: string
      readonly destination: DestinationAttributes
    }
  | {
      readonly name: 'auth.token.exchanged'
      readonly credential: VerifiedCredential
      /** The token that was exchanged; `undefined` if the service asked for a token for itself. */
      readonly subject: VerifiedCredential | undefined
    }
  | {
      readonly name: 'auth.token.renewed'
      readonly credential: VerifiedCredential
      readonly subject: VerifiedCredential | undefined
    }
  | {
      readonly name: 'auth.token.sealed'
      readonly credential: VerifiedCredential
      readonly subject: VerifiedCredential | undefined
      readonly rule: string
      readonly destination: DestinationAttributes
    }
  | { readonly name: 'auth.token.opened'; readonly source: DestinationAttributes }
  | {
      readonly name: 'auth.message.decided'
      readonly verdict: MessageVerdict
      readonly code: TokenErrorCode | undefined
      /** The token that came with the message, if it is handled with another one. */
      readonly origin: VerifiedCredential | undefined
      readonly source: DestinationAttributes | undefined
    }
  | {
      readonly name: 'auth.token.withheld'
      readonly reason: WithholdReason
      readonly rule: string | undefined
      readonly destination: DestinationAttributes | undefined
      /** The token that was not sent, if it is known. */
      readonly subject: VerifiedCredential | undefined
    }
  | { readonly name: 'resilience.circuit.changed'; readonly state: CircuitState; readonly server: ServerAttributes }
