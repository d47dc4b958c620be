/** The three services of a chain, each in its own process. */

import type { ChildProcess } from 'node:child_process'
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Profiler } from 'node:inspector'
import { join } from 'node:path'

export interface ChainOptions {
  readonly mode: string
  readonly issuer: string
  readonly audience: string
  readonly jwks: object
  readonly jwksUri: string
  readonly pem: string
  readonly alg: string
}

export interface Chain {
  /** Of the gateway. */
  readonly origin: string
  /** What the three have used so far, in microseconds of CPU. */
  cpuMicros(): Promise<number>
  /** Starts to record where the three spend their time, by a sample every `intervalMicros`. */
  record(intervalMicros: number): Promise<void>
  recorded(): Promise<readonly Profiler.Profile[]>
  /** Starts to count what the three allocate. */
  count(): Promise<void>
  /** In bytes. */
  counted(): Promise<number>
  /** Places the three for this many requests at a time: see {@link placeProcess}. */
  place(requests: Requests): void
  stop(): void
}

export type Requests = 'one' | 'many'

export const PINS = spawnSync('taskset', ['--version']).status === 0

/**
 * Less noise, if processes can be placed. With one request at a time only one process has something to do: on one core,
 * none has to be woken on another. With many, gateway and load are on one core, the others on the other one.
 */
export function placeProcess(pid: number, requests: Requests, core: 0 | 1): void {
  if (PINS) spawnSync('taskset', ['-acp', requests === 'one' ? '1' : String(core), String(pid)])
}

export async function startChain(options: ChainOptions): Promise<Chain> {
  const profile = await startService(options, undefined, 1)
  const user = await startService(options, profile.origin, 1)
  const gateway = await startService(options, user.origin, 0)
  const services = [gateway, user, profile]
  const askAll = <T>(question: Question, argument?: number): Promise<readonly T[]> =>
    Promise.all(services.map(({ child }) => ask<T>(child, question, argument)))
  return {
    origin: gateway.origin,
    async cpuMicros() {
      const used = await askAll<{ readonly cpu: NodeJS.CpuUsage }>('usage')
      return used.reduce((sum, { cpu }) => sum + cpu.user + cpu.system, 0)
    },
    record: async (intervalMicros) => void (await askAll('record', intervalMicros)),
    async recorded() {
      return (await askAll<{ readonly profile: Profiler.Profile }>('stop')).map(({ profile }) => profile)
    },
    count: async () => void (await askAll('count')),
    async counted() {
      const counted = await askAll<{ readonly bytes: number }>('counted')
      return counted.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    place(requests) {
      for (const { child, core } of services) placeProcess(child.pid ?? 0, requests, core)
    },
    stop() {
      for (const { child } of services) child.kill('SIGKILL')
    },
  }
}

type Question = 'usage' | 'record' | 'stop' | 'count' | 'counted'

interface Service {
  readonly child: ChildProcess
  readonly core: 0 | 1
  readonly origin: string
}

async function startService(options: ChainOptions, next: string | undefined, core: 0 | 1): Promise<Service> {
  const child = fork(join(import.meta.dirname, 'service.cjs'), {
    env: { ...process.env, CHAIN: JSON.stringify({ ...options, next }), OTEL_NODE_RESOURCE_DETECTORS: 'env' },
    execArgv: [],
  })
  placeProcess(child.pid ?? 0, 'many', core)
  const { port } = await answerOf<{ readonly port: number }>(child)
  return { child, core, origin: `http://127.0.0.1:${port}` }
}

function ask<T>(child: ChildProcess, question: Question, argument?: number): Promise<T> {
  const answer = answerOf<T>(child)
  child.send({ question, argument })
  return answer
}

/** Rejects if the process ends, as it does at a mistake in its mode. */
async function answerOf<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  child.once('exit', end)
  const [answer] = (await once(child, 'message', { signal: ended.signal })) as [T]
  child.off('exit', end)
  return answer
}
