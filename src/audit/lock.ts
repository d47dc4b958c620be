/** One writer per audit trail: two would break each other's chain. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import process from 'node:process'

/** Locks of this process, for machines on which nobody can say when a process was started. */
const held = new Set<string>()

/**
 * Takes the lock of this process, and returns what gives it free. The lock of a process that is gone is nobody's.
 *
 * @throws Error with code `EEXIST` where somebody else has it.
 */
export function lock(path: string): () => void {
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}`
  try {
    writeFileSync(path, mine, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST' || isHeld(path)) throw error
    rmSync(path, { force: true })
    writeFileSync(path, mine, { flag: 'wx', mode: 0o600 })
  }
  held.add(path)
  return () => {
    held.delete(path)
    rmSync(path, { force: true })
  }
}

/**
 * A number alone says nothing: in a container every process is the first one, and after a power cut another one has it.
 * Worker threads are one process.
 */
function isHeld(path: string): boolean {
  const [id = '', started = ''] = readFileSync(path, 'latin1').split(' ')
  const holder = Number(id)
  if (!Number.isSafeInteger(holder) || holder < 1) return false
  const now = startOf(holder)
  if (now !== undefined && started !== '') return now === started
  if (now === GONE) return false
  return holder === process.pid ? held.has(path) : isAlive(holder)
}

/** Of processes that have ended, and that nobody has asked about yet. */
const GONE = 'gone'
const ENDED_STATES = ['Z', 'X', 'x']

/** When a process was started, as Linux tells it: in ticks since the machine was. */
function startOf(id: number): string | undefined {
  try {
    // The name of the program, in brackets, may hold anything.
    const [state = '', ...fields] = readFileSync(`/proc/${id}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
    return ENDED_STATES.includes(state) ? GONE : fields[18]
  } catch {
    return undefined
  }
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0)
    return true
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'
  }
}
