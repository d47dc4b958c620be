/** The wish that the demo ends: Ctrl-C, SIGTERM, or that npm is gone. */

import { once } from 'node:events'
import process from 'node:process'
import { setInterval } from 'node:timers/promises'

export async function interruption(): Promise<void> {
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), orphaned()])
}

const LOOK_MILLIS = 250

/** The shell between npm and us dies of SIGTERM without handing it on. */
async function orphaned(): Promise<void> {
  if (process.env['npm_lifecycle_event'] === undefined) return new Promise(() => undefined)
  const parent = process.ppid
  for await (const _ of setInterval(LOOK_MILLIS, undefined, { ref: false })) if (process.ppid !== parent) return
}
