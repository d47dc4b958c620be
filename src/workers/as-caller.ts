/** The worker's side of `runInWorker`: runs each task as the caller that submitted it. */

import { MessagePort, parentPort } from 'node:worker_threads'
import { SealError } from '../token/errors.ts'
import { takeOver } from './take-over.ts'
import type { HandedTask, PostedTask, TaskOutcome } from './task.ts'
import { isHandedTask } from './task.ts'

/**
 * Returns a function for the workers of a pool, for example Piscina, that runs `work` as the caller that submitted the
 * task: `module.exports = asCaller('worker:thumbnails', resize)`. The pool's side is `runInWorker`. The result of
 * `work` is the result of the task, and its errors are the errors of the task. If the caller is refused, the task fails
 * with the `TokenError`.
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
 * Answers every task that `runInWorker` posts to this worker thread, like {@link asCaller}. Tasks run concurrently.
 * Other messages of the parent are left to other listeners.
 *
 * @throws Error if this thread is not a worker thread.
 */
export function answerAsCaller<T>(receiver: string, work: (task: T) => unknown): void {
  if (parentPort === null) throw new Error('this thread is not a worker thread')
  const run = asCaller(receiver, work)
  parentPort.on('message', (message: unknown) => {
    if (isPostedTask<T>(message)) void answerTask(message, run)
  })
}

function isPostedTask<T>(message: unknown): message is PostedTask<T> {
  return isHandedTask(message) && 'answer' in message && message.answer instanceof MessagePort
}

async function answerTask<T>(posted: PostedTask<T>, run: (task: HandedTask<T>) => Promise<unknown>): Promise<void> {
  const { answer: port } = posted
  const outcome = await run(posted).then(
    (result): TaskOutcome => ({ status: 'done', result }),
    (error: unknown): TaskOutcome => ({ status: 'failed', error }),
  )
  try {
    port.postMessage(outcome)
  } catch (error) {
    // The outcome cannot be cloned.
    port.postMessage({ status: 'failed', error } satisfies TaskOutcome)
  }
  port.close()
}
