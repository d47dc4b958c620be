/** Callers, and a service that reports the subject of its requests. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { decodeJwt } from 'jose'
import { createCanaries } from '../../src/testing/pieces.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'

const SUBJECTS = Array.from({ length: 100 }, (_, i) => `caller-${i}`)
/** Tasks per caller. */
const COUNT = 3

/** The report of a program that mixed no callers up. */
export const HONEST = { right: SUBJECTS.length * COUNT, wrong: 0, nobody: SUBJECTS.length }

export interface WorkerRig extends AsyncDisposable {
  /** Starts a program of `programs/workers`. In every thread, `register` or its own code creates its relay. */
  start(program: string, way: Way): Program
  /** Whether a piece of a signature is in `text`. */
  leaks(text: string): boolean
}

export type Way = 'register' | 'createTokenRelay'
export const WAYS: readonly Way[] = ['register', 'createTokenRelay']

export async function startWorkerRig(secretFile?: string): Promise<WorkerRig> {
  const issuer = await startIssuer()
  const sink = createSink()
  const url = `http://127.0.0.1:${await listen(sink)}`
  const signed = SUBJECTS.map(async (sub) => [sub, await issuer.token({ sub })] as const)
  const tokens = Object.fromEntries(await Promise.all(signed))
  const canaries = createCanaries()
  for (const token of Object.values(tokens)) canaries.add(token.slice(token.lastIndexOf('.') + 1), '')
  const destinations = ['worker:thumbnails', 'worker:mails', url]

  const environments: Readonly<Record<Way, () => Readonly<Record<string, string>>>> = {
    register: () => ({
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: destinations.join(','),
      ...(secretFile !== undefined && { TOKEN_RELAY_SEALING_KID: 'a', TOKEN_RELAY_SEALING_SECRET_FILE: secretFile }),
    }),
    createTokenRelay: () => ({
      OPTIONS: JSON.stringify({
        issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
        destinations: destinations.map((to) => ({ to })),
        sealing: { keys: secretFile === undefined ? [] : [{ kid: 'a', secretFile }] },
      }),
    }),
  }
  return {
    start: (program, way) =>
      startProgram(`workers/${program}`, {
        preload: way === 'register' ? ['--require', 'otel-token-relay/register'] : [],
        env: { TOKENS: JSON.stringify(tokens), COUNT: String(COUNT), SINK: url, ...environments[way]() },
      }),
    leaks: (text) => canaries.find(text) !== undefined,
    async [Symbol.asyncDispose]() {
      await close(sink)
      await issuer[Symbol.asyncDispose]()
    },
  }
}

function createSink(): Server {
  return createServer((request, response) => {
    const token = request.headers.authorization?.split(' ')[1]
    response.end(JSON.stringify({ subject: token === undefined ? null : decodeJwt(token).sub }))
  })
}
