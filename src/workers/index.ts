/** otel-token-relay/worker-threads: threads, pools and processes work as whoever has called. */

export type { HandOverOptions } from './hand-over.ts'
export { handOver } from './hand-over.ts'
export { takeOver } from './take-over.ts'
