/** A protected service in the process of the test, its tokens, and an unprotected sink beside it. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { close, listen } from './issuer.ts'
import { exchange, requestOf } from './raw.ts'
import { ISSUER, optionsFor } from './relay.ts'
import { createSigner, goodClaims } from './signer.ts'
import type { Sink } from './sink.ts'
import { startSink } from './sink.ts'

export const signer = createSigner()

/** A token that is valid for the service, but for what `claims` change. */
export function tokenOf(claims: Readonly<Record<string, unknown>> = {}): string {
  return signer.token(goodClaims(ISSUER, claims))
}

export function bearer(token: string): string {
  return `Authorization: Bearer ${token}`
}

export interface Service {
  readonly relay: TokenRelay
  readonly server: Server
  readonly port: number
  /** Its requests are to have a path below `/sink/`, which is public. */
  readonly sink: Sink
  /** The whole answer to one HTTP/1.1 request. */
  send(fields?: readonly string[], target?: string): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

export interface ServiceOptions {
  readonly handler?: (request: IncomingMessage, response: ServerResponse) => void
  /** More of the rule that names the sink; `null` where no rule shall. */
  readonly rule?: object | null
  readonly options?: Partial<TokenRelayOptions>
}

/** Starts a relay, a server with `handler`, and a sink that the relay names as its destination. */
export async function startService({ handler, rule = {}, options = {} }: ServiceOptions = {}): Promise<Service> {
  const sink = await startSink()
  const { ingress, ...others } = options
  const relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: rule === null ? [] : [{ to: sink.origin, ...rule }],
    ...others,
    ingress: { ...ingress, publicPaths: ['/sink/*', ...(ingress?.publicPaths ?? [])] },
  })
  relay.instrumentation.enable()
  const server = createServer(handler ?? ((_, response) => void response.end('handled')))
  const port = await listen(server)
  return {
    relay,
    server,
    port,
    sink,
    send: (fields = [], target = '/') => exchange(port, requestOf(target, fields), () => false),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await close(server)
      await sink[Symbol.asyncDispose]()
      await relay.shutdown()
    },
  }
}

/** A promise, and what fulfils it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  return Promise.withResolvers<T>()
}
