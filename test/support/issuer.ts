/** The test issuer of the kit with what most suites want of it, and servers of tests on the loopback interface. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JWTHeaderParameters, JWTPayload } from 'jose'
import type { TestAlgorithm } from '../../src/testing/index.ts'
// Not from the index: tests of clocks must not have the time of the kit.
import { createTestIssuer } from '../../src/testing/issuer/test-issuer.ts'

export interface TestIssuer {
  readonly issuer: string
  readonly jwks: { readonly keys: readonly object[] }
  /** Members that are added to its metadata. */
  readonly metadata: Record<string, unknown>
  /** Every request that was made to it: target, and the names and values of its fields. */
  readonly requests: readonly { readonly target: string; readonly rawHeaders: readonly string[] }[]
  /** A token that is valid for `user-service`, but for what `claims` and `header` change; `undefined` removes a claim. */
  token(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>
  setDown(down: boolean): void
  [Symbol.asyncDispose](): Promise<void>
}

/** Publishes metadata by RFC 8414 only, with the members that every issuer has. */
export async function startIssuer(algorithm: TestAlgorithm = 'ES256'): Promise<TestIssuer> {
  const kit = await createTestIssuer({ algorithm, scopes: ['profiles:read', 'invoices:read'] })
  const metadata: Record<string, unknown> = {}
  let isDown = false
  kit.respond('openidConfiguration', () => ({ status: isDown ? 500 : 404 }))
  kit.respond('metadata', () =>
    isDown ? { status: 500 } : { body: { issuer: kit.issuer, jwks_uri: kit.jwksUri, ...metadata } },
  )
  kit.respond('jwks', () => (isDown ? { status: 500 } : undefined))

  return {
    issuer: kit.issuer,
    metadata,
    get jwks() {
      return kit.jwks
    },
    get requests() {
      return kit.requests.map(({ path, rawHeaders }) => ({ target: path, rawHeaders }))
    },
    async token(claims, header = {}) {
      return kit.token({ claims: { client_id: undefined, ...claims }, header })
    },
    setDown(down) {
      isDown = down
    },
    [Symbol.asyncDispose]: () => kit.close(),
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
