/** One writer per audit trail: two would break each other's chain. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import process from 'node:process'

/**
 * Takes the lock of this process, and returns what gives it free. The lock of a process that is gone is nobody's.
 *
 * @throws Error with code `EEXIST` where somebody else has it.
 */
export function lock(path: string): () => void {
  try {
    writeFileSync(path, identity(), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST' || isHeld(path)) throw error
    rmSync(path, { force: true })
    writeFileSync(path, identity(), { flag: 'wx', mode: 0o600 })
  }
  return () => rmSync(path, { force: true })
}

/** In a container every process is the first one, so that its number alone says nothing. Worker threads are one process. */
function identity(): string {
  return `${process.pid} ${startedAt()}`
}

/** When this process was started, in milliseconds of a clock that nobody sets. */
function startedAt(): number {
  return Math.round(Number(process.hrtime.bigint() / 1_000_000n) - process.uptime() * 1_000)
}

const SAME_START_MILLIS = 100

function isHeld(path: string): boolean {
  const [holder = Number.NaN, started = Number.NaN] = readFileSync(path, 'latin1').split(' ').map(Number)
  if (!Number.isSafeInteger(holder) || holder < 1) return false
  if (holder === process.pid) return Math.abs(started - startedAt()) < SAME_START_MILLIS
  try {
    process.kill(holder, 0)
    return true
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'
  }
}
