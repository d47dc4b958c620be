/** The events of a token's life: a closed set, each with a closed set of members. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** Why a token was not sent. Documented in the README; a test compares both. */
export type WithholdReason =
  | 'not_named'
  | 'not_verified'
  | 'expired'
  | 'revoked'
  | 'revocation_unavailable'
  | 'own_credential'
  | 'unknown_destination'
  | 'unix_socket'
  | 'proxied'
  | 'custom_connection'
  | 'headers_sent'
  | 'unbound_dispatcher'
  | 'ambiguous'
  | 'shared_response'
  | 'detached'
  | 'header_too_large'
  | 'not_sealed'
  | 'no_room'
  | 'not_exchanged'
  | 'report_only'
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
