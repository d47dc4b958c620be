/** An APM agent wraps how `http` connects, whether it is loaded before the relay or after it. */

import { createServer } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink
let certificates: Certificates
let secureOrigin: string
let arrived: (string | undefined)[] = []
const secure = createServer()

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink()
  certificates = await createCertificates()
  secure.setSecureContext(certificates)
  secure.on('request', ({ headers }, response) => {
    arrived.push(headers.authorization)
    response.end()
  })
  secureOrigin = `https://localhost:${await listen(secure)}`
})
afterAll(async () => {
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
  await close(secure)
})

const RELAY = ['--require', 'otel-token-relay/register']
const NEW_RELIC = ['--require', 'newrelic']
/** It finds nothing to report to. */
const OFFLINE = {
  NEW_RELIC_APP_NAME: 'test',
  NEW_RELIC_LICENSE_KEY: '0'.repeat(40),
  NEW_RELIC_HOST: '127.0.0.1',
  NEW_RELIC_PORT: '9',
  NEW_RELIC_LOG_ENABLED: 'false',
  NEW_RELIC_UTILIZATION_DETECT_AWS: 'false',
  NEW_RELIC_UTILIZATION_DETECT_AZURE: 'false',
  NEW_RELIC_UTILIZATION_DETECT_GCP: 'false',
}

describe.each([
  ['after the relay', [...RELAY, ...NEW_RELIC]],
  ['before the relay', [...NEW_RELIC, ...RELAY]],
])('New Relic, loaded %s', (_, preload) => {
  let program: Program
  let port: number
  beforeAll(async () => {
    program = startProgram('service.cjs', {
      preload,
      env: {
        ...OFFLINE,
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_DESTINATIONS: `${named.origin},${secureOrigin}`,
      },
    })
    port = await program.report<number>('port')
  })
  afterAll(() => program[Symbol.asyncDispose]())

  async function call(client: string, origin: string): Promise<string> {
    const token = await issuer.token()
    const url = `http://127.0.0.1:${port}/call?client=${client}&url=${encodeURIComponent(origin)}`
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    expect(response.status, program.stderr()).toBe(200)
    return `Bearer ${token}`
  }

  it.each(['http', 'fetch'])('%s carries the token to the named destination, and to no other', async (client) => {
    named.clear()
    other.clear()
    const sent = await call(client, named.origin)
    await call(client, other.origin)
    expect(named.received.map(({ authorization }) => authorization)).toEqual([[sent]])
    expect(other.received.map(({ authorization }) => authorization)).toEqual([[]])
  })

  it('https carries the token', async () => {
    arrived = []
    expect([await call('https', secureOrigin)]).toEqual(arrived)
  })
})
