/** Metadata that was read over https cannot lead to keys in clear text, whatever `allowCleartext` says. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createCertificates } from '../support/certificates.ts'
import { listen } from '../support/issuer.ts'
import { startProgram } from '../support/process.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const TLS_HANDSHAKE = 22
const signer = createSigner()
const folder = mkdtempSync(join(tmpdir(), 'cleartext-'))
const sockets = new Set<Socket>()
const asked: string[] = []
let jwksScheme = 'https'
let server: Server
let host: string

/** One port that speaks both: the names of the two differ in their scheme only. */
beforeAll(async () => {
  const certificates = await createCertificates()
  writeFileSync(join(folder, 'ca.pem'), certificates.ca)
  const answer = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${scheme} ${request.url}`)
    const issuer = `https://${host}`
    const body = request.url === '/jwks' ? { keys: [signer.jwk] } : { issuer, jwks_uri: `${jwksScheme}://${host}/jwks` }
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body))
  }
  const [clear, secure] = [createHttpServer(answer('http')), createHttpsServer(certificates, answer('https'))]
  server = createServer((socket) => {
    sockets.add(socket)
    socket.once('data', (first) => {
      socket.pause()
      socket.unshift(first)
      ;(first[0] === TLS_HANDSHAKE ? secure : clear).emit('connection', socket)
      process.nextTick(() => socket.resume())
    })
  })
  host = `0.0.0.0:${await listen(server as never)}`
})
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
  rmSync(folder, { recursive: true })
})

it.each([
  ['https', 200],
  ['http', 503],
])('jwks_uri with %s: %i [D13]', async (scheme, expected) => {
  jwksScheme = scheme
  asked.length = 0
  await using program = startProgram('service.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: `https://${host}`,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_ALLOW_CLEARTEXT: 'true',
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
    },
  })
  const message = requestOf('/whoami', [`Authorization: Bearer ${signer.token(goodClaims(`https://${host}`))}`])
  expect(statuses(await exchange(await program.report<number>('port'), message, () => false))).toEqual([expected])
  expect(asked.filter((target) => target.startsWith('http '))).toEqual([])
  expect(asked[0]).toBe('https /.well-known/openid-configuration')
})
