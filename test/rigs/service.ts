/** The service under test of both rigs: which build it runs behind, and how its callers tell it what to do. */

import type { OutgoingHttpHeaders } from 'node:http'
import { Agent, request } from 'node:http'
import type { Client } from '../conformance/bench.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'

export interface RigClient extends Client {
  /** Says one place and reaches another. */
  readonly astray?: boolean
}

/** One outgoing request: with which client, started how. */
export interface PlannedCall {
  readonly client: string
  readonly way: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** When the service gives up on it, in milliseconds after its start. */
  readonly abortMillis?: number
  readonly suppressed?: boolean
  /** The service reports a failure of the call, which is then a defect of the rig. */
  readonly mustSucceed?: boolean
}

export interface Plan {
  readonly calls: readonly PlannedCall[]
  /** The calls are made after this time, in milliseconds since the epoch. */
  readonly until?: number
  /** The calls are made after a request for `/release?hold=…`. */
  readonly hold?: string
}

/** A build of the package in its own folder, a program that does without it, or the real thing. */
export type Build = 'relay' | 'naive' | { readonly folder: string }

export interface ServiceOptions {
  readonly build: Build
  readonly line?: OtelLine
  readonly relay: object
  readonly env?: Readonly<Record<string, string>>
}

export function startService({ build, line, relay, env }: ServiceOptions): Program {
  return startProgram('rig.cjs', {
    ...(line === undefined ? {} : { line }),
    ...(typeof build === 'object' ? { folder: build.folder } : {}),
    preload: ['--require', build === 'naive' ? './programs/naive.cjs' : './programs/tracing.cjs'],
    env: { RELAY_OPTIONS: JSON.stringify(relay), ...env },
  })
}

export interface Caller {
  /** Resolves with the status once the answer is complete; 0 where the caller has left. */
  ask(path: string, token: string | undefined, options?: AskOptions): Promise<number>
  close(): void
}

interface AskOptions {
  readonly body?: Plan
  readonly headers?: OutgoingHttpHeaders
  /** When the caller hangs up, in milliseconds. */
  readonly leaveMillis?: number | undefined
  /** Resolves when the status is there. */
  readonly onStatus?: () => void
}

export function createCaller(port: number): Caller {
  const agent = new Agent({ keepAlive: true })
  return {
    ask(path, token, { body, headers, leaveMillis, onStatus } = {}) {
      const text = JSON.stringify(body ?? {})
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
      return new Promise((resolve) => {
        const asking = request({
          agent,
          host: '127.0.0.1',
          port,
          path,
          method: 'POST',
          headers: { ...authorization, 'content-length': Buffer.byteLength(text), ...headers },
        })
        asking.on('error', () => resolve(0))
        asking.on('response', (response) => {
          onStatus?.()
          response
            .resume()
            .on('error', () => resolve(0))
            .on('end', () => resolve(response.statusCode ?? 0))
        })
        asking.end(text)
        if (leaveMillis !== undefined) setTimeout(() => asking.destroy(), leaveMillis)
      })
    },
    close: () => agent.destroy(),
  }
}
