/** otel-token-relay/worker-threads: threads, pools and processes work as the caller that submitted the work. */

export { answerAsCaller, asCaller } from './as-caller.ts'
export type { HandOverOptions } from './hand-over.ts'
export { handOver } from './hand-over.ts'
export type { PostOptions, WorkerPool } from './run-in-worker.ts'
export { runInWorker } from './run-in-worker.ts'
export { takeOver } from './take-over.ts'
export type { HandedTask } from './task.ts'
