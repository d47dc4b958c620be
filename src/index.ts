/** otel-token-relay: the caller's token travels with each call, and only to named destinations. */

import './base/node-version.ts'

export type { AuditLogger, AuditLogRecord } from './audit/audit.ts'
export type { AuditOptions } from './config/audit.ts'
export type { CacheOptions } from './config/cache.ts'
export type {
  DestinationConsumeOptions,
  DestinationExchangeOptions,
  DestinationOptions,
} from './config/destinations.ts'
export type { EgressOptions } from './config/egress.ts'
export type { ExchangeOptions } from './config/exchange.ts'
export type { CorsOptions, IngressOptions, ProtectedResourceOptions } from './config/ingress.ts'
export type { IntrospectionOptions } from './config/introspection.ts'
export type { IssuerOptions, ResolveIssuer } from './config/issuers.ts'
export type { KeySetOptions } from './config/key-set.ts'
export type { TokenRelayOptions } from './config/options.ts'
export type { RevocationOptions } from './config/revocation.ts'
export type { SealingKeyOptions, SealingOptions } from './config/sealing.ts'
export type { TelemetryOptions } from './config/telemetry.ts'
export type { TokenSourceOptions } from './config/token-source.ts'
export { bind, bindEmitter } from './context/bind.ts'
export {
  deleteCredential,
  getActiveCredential,
  getCredential,
  setCredential,
} from './context/credential-context.ts'
export { setDestination, setSource } from './context/destination-context.ts'
export { wrapExecutor } from './context/executor.ts'
export { perCaller, runAsAll } from './context/per-caller.ts'
export type { Explanation } from './destination/explain.ts'
export type { ObservedDestination } from './destination/observed.ts'
export type { SharedTokenCache } from './exchange/shared-cache.ts'
export type { GetTokenOptions, TokenSource } from './exchange/token-source.ts'
export type { Admission, AdmissionOptions, AdmissionRequest, Admitted, Admitter, Refused } from './ingress/admitter.ts'
export type { RelayInstrumentation } from './ingress/http/instrumentation.ts'
export { createTokenRelay } from './relay/assemble.ts'
export { getActiveRelay } from './relay/get-active-relay.ts'
export type { TokenRelay } from './relay/relay.ts'
export { RelayActiveError } from './relay/relay.ts'
export { runAs, runAsCaller, runWithToken } from './relay/run-as.ts'
export type { RevocationEntry, RevocationFacts, RevocationList } from './revocation/list.ts'
export type { ReplayWindow } from './sealing/replay-window.ts'
export type { LogLevel, LogRecord, LogSeverity, RelayLogger } from './telemetry/log-record.ts'
export type { ExchangeCode, TokenErrorCode, TokenRejectedCode, UndecidedCode } from './token/errors.ts'
export {
  ExchangeError,
  InsufficientRoleError,
  InsufficientScopeError,
  SealError,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from './token/errors.ts'
export type { AnyOf, NameOrAnyOf } from './token/requirements.ts'
export type { Claims, VerifiedCredential } from './token/verified-credential.ts'
export type { ClaimRule } from './verification/issuer.ts'
