/** Has a task done by a pool or a worker thread, as the caller of now. */

import type { MessagePort, Transferable } from 'node:worker_threads'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { HandOverOptions } from './hand-over.ts'
import { handOver } from './hand-over.ts'
import { restored } from './restored-error.ts'
import type { HandedTask, Outcome, PostedTask } from './task.ts'

const ENDED = 'the worker has ended before its task'

/** A pool with the `run` of Piscina, or one like it. */
export interface WorkerPool<T, R, O> {
  run(task: HandedTask<T>, options?: O): PromiseLike<R>
}

/** How a worker thread is sent a task. */
export interface PostOptions {
  /** What of the task is moved instead of copied, as for `worker.postMessage`. */
  readonly transferList?: readonly Transferable[]
  /** Nobody waits for the answer any more once this is aborted; the worker goes on. */
  readonly signal?: AbortSignal
}

/**
 * Has `task` done by `worker`, a pool or a worker thread, as the caller of now, and resolves with the result; the worker's
 * side is `asCaller` in a pool and `answerAsCaller` in a thread. Each task has a caller of its own, however many are under
 * way. `options` but for `maxAgeSeconds` are those of the pool's `run`, or {@link PostOptions} for a thread; a task that waits
 * in the pool's queue for longer than `maxAgeSeconds` is refused.
 *
 * @throws whatever the task throws, as far as it can be cloned; SealError, TokenRejectedError or UndecidedError where the
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
    if (isThread(worker)) return (await post(worker, { caller, task }, others)) as R
    return await worker.run({ caller, task }, others as O)
  } catch (error) {
    throw restored(error)
  }
}

function isThread(worker: object): worker is Worker {
  return worker instanceof Worker
}

/** Each task has a channel of its own: nothing has to be told apart, and it closes when the thread ends. */
async function post(worker: Worker, handed: HandedTask<unknown>, options: PostOptions): Promise<unknown> {
  const { transferList = [], signal } = options
  signal?.throwIfAborted()
  // A thread that has ended takes no message.
  if (worker.threadId < 0) throw new Error(ENDED)
  const { port1, port2 } = new MessageChannel()
  const stop = (): void => port1.close()
  try {
    worker.postMessage({ ...handed, answer: port2 } satisfies PostedTask<unknown>, [port2, ...transferList])
    signal?.addEventListener('abort', stop, { once: true })
    const outcome = await answerOf(port1, signal)
    if (outcome.status === 'done') return outcome.result
    throw outcome.error
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
}

function answerOf(port: MessagePort, signal: AbortSignal | undefined): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    port.once('message', resolve)
    port.once('messageerror', reject)
    port.once('close', () => reject(signal?.aborted ? signal.reason : new Error(ENDED)))
  })
}
