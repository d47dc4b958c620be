/** `otel-token-relay/testing`: test callers and destinations, and proof of where the tokens of a service go. */

import { followFakeTime } from './fake-time.ts'

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
export type { ExpectedToken, MatcherResult } from './matchers.ts'
export { expectNoToken, expectTokenAt, tokenMatchers } from './matchers.ts'
export type { CanaryOptions, CanaryReport, Sighting } from './report.ts'
export { CanaryError } from './report.ts'
export type { ExpectOnlyOptions, Host, SentToken, TokenWatch } from './watch/watch.ts'
export { watchTokens } from './watch/watch.ts'

followFakeTime()
