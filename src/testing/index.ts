/** `otel-token-relay/testing`: issuer, callers and destinations for tests, and proof of where the tokens go. */

import { followFakeTime } from './fake-time.ts'
import { refuseProduction } from './production.ts'

export type { AsCallerOptions, TestCaller } from './caller/as-caller.ts'
export { asCaller } from './caller/as-caller.ts'
export type { CallerTokenOptions, TokenIssuer } from './caller/local-issuer.ts'
export type { Canary } from './canary.ts'
export { createCanary } from './canary.ts'
export type {
  TestDestination,
  TestQueueOptions,
  TestServer,
  TestServerOptions,
} from './destination/destination.ts'
export { createTestDestination } from './destination/destination.ts'
export type { TestAnswer } from './destination/http-sink.ts'
export type { TestMessage, TestQueue } from './destination/queue.ts'
export type { Received } from './destination/received.ts'
export type { FoundToken } from './found-tokens.ts'
export type { BadTokenFacts, BadTokenKind } from './issuer/bad-token.ts'
export { BAD_TOKENS, refusalCodeOf } from './issuer/bad-token.ts'
export type { TestClock } from './issuer/clock.ts'
export type { FlavourName } from './issuer/flavours.ts'
export type {
  IssuerAnswer,
  IssuerResponder,
  RotateKeysOptions,
  TestIssuer,
  TestIssuerEndpoints,
  TestIssuerOptions,
  TestTokenOptions,
} from './issuer/options.ts'
export type { OutageKind } from './issuer/outage.ts'
export { OUTAGES } from './issuer/outage.ts'
export type { RecordedRequest } from './issuer/recorded-request.ts'
export type { JwsPart, TestAlgorithm } from './issuer/signing-key.ts'
export { createTestIssuer } from './issuer/test-issuer.ts'
export type { ExpectedToken, MatcherResult } from './matchers.ts'
export { expectNoToken, expectTokenAt, tokenMatchers } from './matchers.ts'
export type { CanaryOptions, CanaryReport, Sighting } from './report.ts'
export { CanaryError } from './report.ts'
export type { TestRelay, TestRelayOptions } from './test-relay.ts'
export { createTestRelay } from './test-relay.ts'
export type { ExpectOnlyOptions, Host, SentToken, TokenWatch } from './watch/watch.ts'
export { watchTokens } from './watch/watch.ts'

refuseProduction()
followFakeTime()
