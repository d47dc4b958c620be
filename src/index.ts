/** otel-token-relay: the caller's token travels with the call, and only where it may. */

export type { AuditLogger, AuditLogRecord } from './audit/audit.ts'
export { bind, bindEmitter } from './context/bind.ts'
export { perCaller, runAsAll } from './context/callers.ts'
export {
  deleteCredential,
  getActiveCredential,
  getCredential,
  setCredential,
} from './context/credential-context.ts'
export { setDestination, setSource } from './context/destination-context.ts'
export { wrapExecutor } from './context/executor.ts'
export type { Explanation } from './destination/explain.ts'
export type { ObservedDestination } from './destination/observed.ts'
export type { SharedTokenCache } from './exchange/shared-cache.ts'
export type { GetTokenOptions, TokenSource } from './exchange/token-source.ts'
export type { Admission, AdmissionOptions, AdmissionRequest, Admitted, Admitter, Refused } from './ingress/admission.ts'
export type { RelayInstrumentation } from './ingress/instrumentation.ts'
export type {
  AuditOptions,
  CacheOptions,
  DestinationConsumeOptions,
  DestinationExchangeOptions,
  DestinationOptions,
  EgressOptions,
  ExchangeOptions,
  IngressOptions,
  IntrospectionOptions,
  IssuerOptions,
  KeySetOptions,
  ProtectedResourceOptions,
  ResolveIssuer,
  RevocationOptions,
  SealingKeyOptions,
  SealingOptions,
  TelemetryOptions,
  TokenRelayOptions,
} from './options.ts'
export type { TokenSourceOptions } from './options-token-source.ts'
export type { TokenRelay } from './relay.ts'
export { createTokenRelay, RelayActiveError, runAs, runAsCaller, runWithToken } from './relay.ts'
export type { RevocationEntry, RevocationFacts, RevocationList } from './revocation/list.ts'
export type { ReplayWindow } from './sealing/replay-window.ts'
export type { ExchangeCode, TokenErrorCode, TokenRejectedCode, UndecidedCode } from './token/errors.ts'
export {
  ExchangeError,
  InsufficientScopeError,
  SealError,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from './token/errors.ts'
export type { Claims, VerifiedCredential } from './token/verified-credential.ts'
export type { ClaimRule } from './verification/issuer.ts'
