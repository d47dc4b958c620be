/** `otel-token-relay/testing`: proves in the tests of a service that it leaks no token. */

export type { Canary } from './canary.ts'
export { createCanary } from './canary.ts'
export type { CanaryOptions, CanaryReport, Sighting } from './report.ts'
export { CanaryError } from './report.ts'
