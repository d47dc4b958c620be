/** What the relay tells about a token: a closed set of events with a closed set of attributes. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** Why a token stayed in the process although there was one. Documented in the README; a test compares both. */
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

/** Whether calls to a service are let through, refused, or tried with one that decides. */
export type CircuitState = 'closed' | 'open' | 'half_open'

/** A service that is called, as far as it may be told: configured, never from a request. */
export type ServerAttributes = { readonly 'server.address': string; readonly 'server.port': number }

/** Where an outgoing carrier goes, as far as it may be told. */
export type DestinationAttributes =
  | ServerAttributes
  | { readonly 'messaging.system': string; readonly 'messaging.destination.name': string }

/** As whom a message is worked on, or that it is not: for good, or not now. */
export type MessageVerdict = 'caller' | 'exchanged' | 'workload' | 'nobody' | 'rejected' | 'undecided'

/** What is taken back: one token, the tokens of a session, or those of a subject. */
export type RevocationKind = 'token' | 'session' | 'subject'

/** `failure`: the others could not be told. This process refuses what was taken back all the same. */
export type RevocationOutcome = 'success' | 'failure'

/** One thing that happened to a token, or to the calls that carry one. No member can hold a token, a claim or a header value. */
export type AuthEvent =
  | { readonly name: 'auth.token.received' }
  | { readonly name: 'auth.token.verified'; readonly credential: VerifiedCredential }
  | {
      readonly name: 'auth.token.rejected'
      readonly code: TokenErrorCode
      /** The token, where it was good and is not enough. For the audit trail only. */
      readonly credential: VerifiedCredential | undefined
    }
  | {
      readonly name: 'auth.token.revoked'
      readonly kind: RevocationKind
      readonly outcome: RevocationOutcome
      readonly issuer: string
      /** `jti`, `sid` or `sub` of what was taken back, to be hashed. For the audit trail only. */
      readonly id: string
    }
  | { readonly name: 'auth.key_set.stale'; readonly issuer: string; readonly ageMillis: number }
  | {
      readonly name: 'auth.token.forwarded'
      readonly credential: VerifiedCredential
      /** The caller's own token, where another one was forwarded. */
      readonly subject: VerifiedCredential | undefined
      readonly rule: string
      readonly destination: DestinationAttributes
    }
  | {
      readonly name: 'auth.token.exchanged'
      readonly credential: VerifiedCredential
      /** The token it was exchanged for; `undefined` where a service asked for itself. */
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
      /** Whose token came with it, where it is worked on with another one. */
      readonly origin: VerifiedCredential | undefined
      readonly source: DestinationAttributes | undefined
    }
  | {
      readonly name: 'auth.token.withheld'
      readonly reason: WithholdReason
      readonly rule: string | undefined
      readonly destination: DestinationAttributes | undefined
      /** Whose token stayed, where that is known. For the audit trail only. */
      readonly subject: VerifiedCredential | undefined
    }
  | { readonly name: 'resilience.circuit.changed'; readonly state: CircuitState; readonly server: ServerAttributes }
