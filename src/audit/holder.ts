/** The holder of a trail's lock: process, machine and namespace, as the lock's file names them. */

import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, platform } from 'node:os'
import process from 'node:process'
import { ownProperty } from '../base/own-property.ts'

export interface Holder {
  readonly host: string
  /** Identifies one boot of one machine; empty if it is not known. */
  readonly boot: string
  /** The PID namespace, without which a pid means nothing; empty if it is not known. */
  readonly namespace: string
  readonly pid: number
  /** Start of the process in ticks since the machine booted; empty if it is not known. */
  readonly started: string
  /** Inode of the guard that the process holds; empty if there is none. */
  readonly guard: string
}

/** Returns the content of a lock's file, which is never the same twice. */
export function holderText(guard: string): string {
  const place = { host: hostname(), boot: bootId(), namespace: pidNamespace() }
  const holder: Holder = { ...place, pid: process.pid, started: startOf(process.pid), guard }
  return `${JSON.stringify({ ...holder, id: randomBytes(12).toString('hex') })}\n`
}

/** Reads the holder that `text` names; `undefined` if it names none. */
export function readHolder(text: string): Holder | undefined {
  const described = parse(text)
  const pid = ownProperty(described, 'pid')
  const texts = ['host', 'boot', 'namespace', 'started', 'guard'].map((name) => ownProperty(described, name))
  if (!Number.isSafeInteger(pid) || !texts.every((value) => typeof value === 'string')) return undefined
  const [host = '', boot = '', namespace = '', started = '', guard = ''] = texts
  return { host, boot, namespace, pid: pid as number, started, guard }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}

/** Whether `holder` runs or ran under this boot of this machine; `undefined` if that is not known. */
export function isOfThisBoot({ boot }: Holder): boolean | undefined {
  const own = bootId()
  return boot === '' || own === '' ? undefined : boot === own
}

/** Most generations of processes that are searched. */
const MAX_GENERATIONS = 64

/** Whether `holder` started this process, directly or through others. */
export function isAncestor(holder: Holder): boolean {
  if (holder.host !== hostname() || holder.boot !== bootId() || holder.namespace !== pidNamespace()) return false
  let pid = process.ppid
  for (let generation = 0; generation < MAX_GENERATIONS && pid > 0; generation += 1) {
    if (pid === holder.pid && startOf(pid) === holder.started) return true
    pid = parentOf(pid)
  }
  return false
}

/** Is the same in all containers of one kernel. Other systems than Linux have no such containers. */
function bootId(): string {
  if (platform() !== 'linux') return `${platform()} ${hostname()}`
  return orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim())
}

function pidNamespace(): string {
  return orEmpty(() => readlinkSync('/proc/self/ns/pid'))
}

function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

function startOf(pid: number): string {
  return statOf(pid)[19] ?? ''
}

/** Returns 0 if there is no parent, or none that is visible. */
function parentOf(pid: number): number {
  return Number(statOf(pid)[1] ?? 0)
}

/**
 * Returns the fields from the state on (proc_pid_stat(5)): the name before them, in brackets, may hold any character.
 */
function statOf(pid: number): readonly string[] {
  const text = orEmpty(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}
