/** What travels between `runInWorker` and a worker: a task with its caller, and what has become of it. */

import type { MessagePort } from 'node:worker_threads'

/** A task and whoever wants it done, as a pool or a worker is sent them. */
export interface HandedTask<T> {
  /** What `handOver` has made. */
  readonly caller: string
  readonly task: T
}

/** A task for a worker without a pool, which answers through `answer`. */
export interface PostedTask<T> extends HandedTask<T> {
  readonly answer: MessagePort
}

/** How a task has ended. */
export type Outcome =
  | { readonly status: 'done'; readonly result: unknown }
  | { readonly status: 'failed'; readonly error: unknown }

export function isHandedTask(message: unknown): message is HandedTask<unknown> {
  return typeof message === 'object' && message !== null && 'caller' in message && 'task' in message
}
