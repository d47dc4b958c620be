/** Whom a caller is handed over to, as a rule names it: `worker:thumbnails`. */

import { isWorker } from '../destination/pattern.ts'
import { announcedTarget } from '../destination/target.ts'

/** Throws a TypeError where `receiver` is something else. */
export function checkReceiver(receiver: string): void {
  const target = typeof receiver === 'string' ? announcedTarget(receiver) : undefined
  if (target === undefined || !isWorker(target)) throw new TypeError('receiver: expected worker:name, without *')
}
