/** The three services of a chain, each a process of its own. */

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
  /** Starts to record where the three spend their time. */
  record(): Promise<void>
  recorded(): Promise<readonly Profiler.Profile[]>
  stop(): void
}

/** Gateway and load on one core, the others on the other one, where that can be had: less noise. */
export const PINS = spawnSync('taskset', ['--version']).status === 0

export async function startChain(options: ChainOptions): Promise<Chain> {
  const profile = await startService(options, undefined, 1)
  const user = await startService(options, profile.origin, 1)
  const gateway = await startService(options, user.origin, 0)
  const services = [gateway, user, profile]
  return {
    origin: gateway.origin,
    async cpuMicros() {
      const used = await Promise.all(
        services.map(({ child }) => ask<{ readonly cpu: NodeJS.CpuUsage }>(child, 'usage')),
      )
      return used.reduce((sum, { cpu }) => sum + cpu.user + cpu.system, 0)
    },
    async record() {
      await Promise.all(services.map(({ child }) => ask(child, 'record')))
    },
    async recorded() {
      const answers = services.map(({ child }) => ask<{ readonly profile: Profiler.Profile }>(child, 'stop'))
      return (await Promise.all(answers)).map(({ profile }) => profile)
    },
    stop() {
      for (const { child } of services) child.kill('SIGKILL')
    },
  }
}

interface Service {
  readonly child: ChildProcess
  readonly origin: string
}

async function startService(options: ChainOptions, next: string | undefined, core: number): Promise<Service> {
  const child = fork(join(import.meta.dirname, 'service.cjs'), {
    env: { ...process.env, CHAIN: JSON.stringify({ ...options, next }), OTEL_NODE_RESOURCE_DETECTORS: 'env' },
    execArgv: [],
  })
  if (PINS) spawnSync('taskset', ['-acp', String(core), String(child.pid)])
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }]
  return { child, origin: `http://127.0.0.1:${port}` }
}

async function ask<T>(child: ChildProcess, question: 'usage' | 'record' | 'stop'): Promise<T> {
  child.send(question)
  const [answer] = (await once(child, 'message')) as [T]
  return answer
}
