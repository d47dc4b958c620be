/** `otel-token-relay/testing`: proves in the tests of a service that it tells nobody a token. */

export type { Canary, CanaryReport, Sighting } from './canary.ts'
export { CanaryError, createCanary } from './canary.ts'
