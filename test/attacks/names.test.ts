/** A name that leads elsewhere: with TLS no server there can prove the name, so nothing is sent. */

import type { ServerResponse } from 'node:http'
import { createServer, get } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import { close, listen } from '../support/issuer.ts'
import { ISSUER, optionsFor, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()

/** A server whose certificate is not for the names by which it is reached here. */
async function startImpostor({ client }: Certificates) {
  const received: string[] = []
  const server = createServer(await client('attacker.example'), (request, response: ServerResponse) => {
    received.push(request.rawHeaders.join('\n'))
    response.end(JSON.stringify({ keys: [signer.jwk], issuer: '', jwks_uri: '' }))
  })
  server.on('secureConnection', (socket: TLSSocket) => socket.on('data', (chunk) => received.push(String(chunk))))
  return { port: await listen(server), received, close: () => close(server) }
}

let impostor: Awaited<ReturnType<typeof startImpostor>>
beforeAll(async () => {
  impostor = await startImpostor(await createCertificates())
})
afterAll(() => impostor.close())

it('an issuer whose name leads to another host is not believed [D15]', async () => {
  const issuer = `https://localhost:${impostor.port}`
  for (const keys of [{}, { jwksUri: `${issuer}/jwks` }]) {
    const outcome = await withRelay({ issuers: [{ issuer, audience: 'user-service', ...keys }] }, (relay) =>
      verdict(relay.verify(signer.token(goodClaims(issuer)))),
    )
    expect(outcome).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  }
  expect(impostor.received).toEqual([])
})

it('a destination whose name leads to another host is sent nothing [F8]', async () => {
  const origin = `https://localhost:${impostor.port}`
  const relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: origin }] })
  try {
    expect(relay.explain(origin).verdict).toBe('forward')
    await runWithToken(signer.token(goodClaims(ISSUER)), async () => {
      await expect(fetch(origin)).rejects.toThrow()
      await expect(new Promise((resolve, reject) => get(origin, resolve).on('error', reject))).rejects.toThrow()
    })
  } finally {
    await relay.shutdown()
  }
  expect(impostor.received).toEqual([])
})
