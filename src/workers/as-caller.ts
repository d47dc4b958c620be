/** The worker's side of `runInWorker`: each task is worked on as whoever wanted it done. */

import { MessagePort, parentPort } from 'node:worker_threads'
import { SealError } from '../token/errors.ts'
import { takeOver } from './take-over.ts'
import type { HandedTask, Outcome, PostedTask } from './task.ts'
import { isHandedTask } from './task.ts'

/**
 * A function for the workers of a pool, Piscina for instance, that runs `work` as whoever wanted its task done:
 * `module.exports = asCaller('worker:thumbnails', resize)`. The pool's side is `runInWorker`. What `work` returns is the
 * result, and its errors are those of the task; where the caller is refused the task fails with the `TokenError`.
 */
export function asCaller<T, R>(
  receiver: string,
  work: (task: T) => R,
): (message: HandedTask<T>) => Promise<Awaited<R>> {
  return async (message): Promise<Awaited<R>> => {
    if (!isHandedTask(message)) throw new SealError()
    return takeOver(receiver, message.caller, () => work(message.task))
  }
}

/**
 * Answers every task that `runInWorker` sends to this worker thread, as {@link asCaller}; those that come meanwhile are not
 * kept waiting. Other messages of the parent are left to other listeners.
 *
 * @throws Error where this is no worker thread.
 */
export function answerAsCaller<T>(receiver: string, work: (task: T) => unknown): void {
  if (parentPort === null) throw new Error('this is no worker thread')
  const run = asCaller(receiver, work)
  parentPort.on('message', (message: unknown) => {
    if (isPosted<T>(message)) void answer(message, run)
  })
}

function isPosted<T>(message: unknown): message is PostedTask<T> {
  return isHandedTask(message) && 'answer' in message && message.answer instanceof MessagePort
}

async function answer<T>(posted: PostedTask<T>, run: (task: HandedTask<T>) => Promise<unknown>): Promise<void> {
  const { answer: port } = posted
  const outcome = await run(posted).then(
    (result): Outcome => ({ status: 'done', result }),
    (error: unknown): Outcome => ({ status: 'failed', error }),
  )
  try {
    port.postMessage(outcome)
  } catch (error) {
    // It cannot be cloned.
    port.postMessage({ status: 'failed', error } satisfies Outcome)
  }
  port.close()
}
