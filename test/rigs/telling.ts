/** Reads every byte that a careless service exports, logs, prints and audits, and looks for pieces of its callers' tokens. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCanaries } from '../../src/testing/pieces.ts'
import { ENCODINGS } from '../support/encodings.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { startSink } from '../support/sink.ts'
import { createLeakTokens } from './leak-tokens.ts'
import { startRecorder } from './recorder.ts'

export interface TellingReport {
  /** Where a piece of a token was found, how it was written, and how often. */
  readonly leaks: Readonly<Record<string, number>>
  /** How much was looked through, in characters, by place. */
  readonly characters: Readonly<Record<string, number>>
  readonly statuses: Readonly<Record<string, number>>
}

export interface TellingOptions {
  readonly line: OtelLine
  /** The folder of a build that is broken on purpose. */
  readonly folder?: string
  readonly callers: number
}

const SAMPLES: readonly ((token: string) => string)[] = [
  (token) => token,
  (token) => `Headers.append: "Bearer ${token}" is an invalid header value.`,
  (token) => `https://a.example/callback?access_token=${token}&state=1#id_token=${token}`,
]

export async function runTellingRig({ line, folder, callers }: TellingOptions): Promise<TellingReport> {
  const scratch = mkdtempSync(join(tmpdir(), 'telling-rig-'))
  try {
    const canaries = createCanaries()
    await using issuer = await startIssuer()
    await using named = await startSink()
    await using collector = await startRecorder({ name: 'collector' })
    const tokens = await createLeakTokens(issuer, canaries, callers)
    const program = startProgram('telling.cjs', {
      line,
      ...(folder === undefined ? {} : { folder }),
      env: {
        TELLING: JSON.stringify({
          relay: {
            issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
            destinations: [{ to: named.origin }],
          },
          auditFile: join(scratch, 'audit.jsonl'),
          destination: named.origin,
        }),
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin,
        OTEL_LINE: line,
      },
    })
    await using _ = program
    const port = await program.report<number>('port')
    const statuses: Record<string, number> = {}
    for (const { token } of [...tokens.good, ...tokens.bad]) {
      const texts = Object.values(ENCODINGS).flatMap((encode) => SAMPLES.map((sample) => sample(encode(token))))
      // Nothing shows that an opaque token is one, other than the header that it is in.
      const cookie = token.includes('.') ? `session=${token}` : 'session=none'
      const headers = { authorization: `Bearer ${token}`, cookie }
      const body = JSON.stringify(texts)
      const { status } = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    await program.stop()

    const leaks: Record<string, number> = {}
    const characters: Record<string, number> = {}
    const look = (place: string, text: string): void => {
      characters[place] = (characters[place] ?? 0) + text.length
      for (const line of text.split('\n')) {
        const leak = canaries.find(line)
        if (leak !== undefined) leaks[`${place}, ${leak.encoding}`] = (leaks[`${place}, ${leak.encoding}`] ?? 0) + 1
      }
    }
    for (const text of collector.take()) for (const [place, body] of exportsIn(text)) look(place, body)
    look('stdout', program.stdout())
    look('stderr', program.stderr())
    for (const file of readdirSync(scratch)) look('audit', readFileSync(join(scratch, file), 'latin1'))
    return { leaks, characters, statuses }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The requests of a connection, by the signal that they export. */
function exportsIn(text: string): readonly (readonly [place: string, body: string])[] {
  const parts = text.split(/^POST (?=\/v1\/)/m).filter((part) => part !== '')
  return parts.map((part) => {
    const path = /^\S+/.exec(part)?.[0] ?? 'unknown'
    return [part.includes('x-protobuf') ? `${path}, protobuf` : path, part]
  })
}
