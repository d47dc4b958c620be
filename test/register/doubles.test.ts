/** Test doubles that a program puts in place of functions of Node.js do not stay in ES modules. */

import { expect, it } from 'vitest'
import { OTEL_LINES, startProgram } from '../support/process.ts'

const REGISTER = 'otel-token-relay/register'
const AUTO = '@opentelemetry/auto-instrumentations-node/register'

const WAYS: readonly (readonly [string, readonly string[]])[] = [
  ['--require', ['--require', REGISTER]],
  ['--import', ['--import', REGISTER]],
  ['--require, after auto-instrumentations', ['--require', AUTO, '--require', REGISTER]],
  ['--import, before auto-instrumentations', ['--import', REGISTER, '--import', AUTO]],
]

it.each(
  OTEL_LINES.flatMap((line) => WAYS.map(([way, preload]) => [line, way, preload] as const)),
)('on %s, %s', async (line, _, preload) => {
  const env = { TOKEN_RELAY_ISSUER: 'https://id.example', TOKEN_RELAY_AUDIENCE: 'user-service' }
  await using program = startProgram('doubles.mjs', { line, preload, env })
  expect(await program.report('isKept')).toEqual({ connect: true, readFileSync: true, request: true })
})
