/** Runs a task in a pool or a worker thread as the current caller. */

import type { MessagePort, Transferable } from 'node:worker_threads'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { HandOverOptions } from './hand-over.ts'
import { handOver } from './hand-over.ts'
import type { HandedTask, PostedTask, TaskOutcome } from './task.ts'
import { restoreError } from './task.ts'

const ENDED = 'the worker ended before its task'

/** A pool with a `run` like that of Piscina. */
export interface WorkerPool<T, R, O> {
  run(task: HandedTask<T>, options?: O): PromiseLike<R>
}

/** How a task is posted to a worker thread. */
export interface PostOptions {
  /** Parts of the task that are moved instead of copied, as for `worker.postMessage`. */
  readonly transferList?: readonly Transferable[]
  /** Stops waiting for the answer when it aborts. The worker does not stop. */
  readonly signal?: AbortSignal
}

/**
 * Runs `task` in `worker`, a pool or a worker thread, as the current caller, and resolves with the result. The worker's
 * side is `asCaller` in a pool and `answerAsCaller` in a thread. Each task keeps its own caller, however many run at
 * once. `options` other than `maxAgeSeconds` are those of the pool's `run`, or {@link PostOptions} for a thread. A task
 * that waits in the queue of the pool longer than `maxAgeSeconds` is refused.
 *
 * @throws the error of the task, as far as it can be cloned; SealError, TokenRejectedError or UndecidedError if the
 * worker refuses the caller; TypeError and Error as {@link handOver} does.
 */
export async function runInWorker<T, R, O extends object = object>(
  receiver: string,
  worker: WorkerPool<T, R, O> | Worker,
  task: T,
  options: HandOverOptions & (O | PostOptions) = {} as O,
): Promise<R> {
  const { maxAgeSeconds, ...others } = options
  const caller = await handOver(receiver, maxAgeSeconds === undefined ? {} : { maxAgeSeconds })
  try {
    if (isThread(worker)) return (await postTask(worker, { caller, task }, others)) as R
    return await worker.run({ caller, task }, others as O)
  } catch (error) {
    throw restoreError(error)
  }
}

function isThread(worker: object): worker is Worker {
  return worker instanceof Worker
}

/** Opens one channel for each task, so that answers cannot be mixed up. The channel closes when the thread ends. */
async function postTask(worker: Worker, handed: HandedTask<unknown>, options: PostOptions): Promise<unknown> {
  const { transferList = [], signal } = options
  signal?.throwIfAborted()
  // A thread that has ended ignores messages.
  if (worker.threadId < 0) throw new Error(ENDED)
  const { port1, port2 } = new MessageChannel()
  const stop = (): void => port1.close()
  try {
    worker.postMessage({ ...handed, answer: port2 } satisfies PostedTask<unknown>, [port2, ...transferList])
    signal?.addEventListener('abort', stop, { once: true })
    const outcome = await waitForAnswer(port1, signal)
    if (outcome.status === 'done') return outcome.result
    throw outcome.error
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
}

function waitForAnswer(port: MessagePort, signal: AbortSignal | undefined): Promise<TaskOutcome> {
  return new Promise((resolve, reject) => {
    port.once('message', resolve)
    port.once('messageerror', reject)
    port.once('close', () => reject(signal?.aborted ? signal.reason : new Error(ENDED)))
  })
}
