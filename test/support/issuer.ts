/** An authorization server in this process: keys, metadata, tokens, and a switch to take it down. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JWTHeaderParameters, JWTPayload } from 'jose'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { LIFE_SECONDS } from './signer.ts'

export interface TestIssuer {
  readonly issuer: string
  readonly jwks: { readonly keys: readonly object[] }
  /** Members that are added to its metadata. */
  readonly metadata: Record<string, unknown>
  /** Every request that was made to it: method, target, and the names and values of its fields. */
  readonly requests: readonly { readonly target: string; readonly rawHeaders: readonly string[] }[]
  /** A token that is valid for `user-service`, but for what `claims` and `header` change; `undefined` removes a claim. */
  token(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>
  setDown(down: boolean): void
  [Symbol.asyncDispose](): Promise<void>
}

export async function startIssuer(alg = 'ES256'): Promise<TestIssuer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const kid = `${alg}-1`
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }] }
  const requests: { target: string; rawHeaders: string[] }[] = []
  const metadata: Record<string, unknown> = {}
  let down = false

  const server = createServer((request, response) => {
    requests.push({ target: request.url ?? '', rawHeaders: request.rawHeaders })
    if (down) return void response.writeHead(500).end()
    const body =
      request.url === '/jwks'
        ? jwks
        : request.url === '/.well-known/oauth-authorization-server'
          ? { issuer, jwks_uri: `${issuer}/jwks`, ...metadata }
          : undefined
    if (body === undefined) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  const issuer = `http://localhost:${await listen(server)}`

  return {
    issuer,
    jwks,
    metadata,
    requests,
    async token(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000)
      const payload: JWTPayload = {
        iss: issuer,
        sub: 'alice',
        aud: 'user-service',
        iat: now,
        exp: now + LIFE_SECONDS,
        jti: crypto.randomUUID(),
        scope: 'profiles:read invoices:read',
        ...claims,
      }
      return new SignJWT(payload).setProtectedHeader({ alg, kid, typ: 'at+jwt', ...header }).sign(privateKey)
    },
    setDown(value) {
      down = value
    },
    async [Symbol.asyncDispose]() {
      await close(server)
    },
  }
}

const DEFAULT_KEEP_ALIVE_MILLIS = createServer().keepAliveTimeout

/**
 * Idle connections stay open until {@link close}: by default Node ends them after 5 seconds, and a client on a busy machine may
 * write on one just then.
 */
export async function listen(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
  if ('keepAliveTimeout' in server && server.keepAliveTimeout === DEFAULT_KEEP_ALIVE_MILLIS) server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  return (server.address() as AddressInfo).port
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}
