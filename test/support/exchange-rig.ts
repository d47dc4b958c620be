/** An issuer with a token endpoint, a destination that wants another token, and a relay between them. */

import type { JWTPayload } from 'jose'
import { decodeJwt } from 'jose'
import type {
  DestinationExchangeOptions,
  DestinationOptions,
  ExchangeOptions,
  IssuerOptions,
  TokenRelay,
  TokenRelayOptions,
} from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { TestIssuer } from './issuer.ts'
import { startIssuer } from './issuer.ts'
import { Resources } from './resources.ts'
import type { Sink } from './sink.ts'
import { startSink } from './sink.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { startTokenEndpoint } from './token-endpoint.ts'

export interface Rig extends AsyncDisposable {
  readonly issuer: TestIssuer
  readonly endpoint: TokenEndpoint
  readonly sink: Sink
  readonly relay: TokenRelay
  /** Replaces the relay by one with other options. */
  relayWith(changes: RelayChanges): Promise<TokenRelay>
  /** Runs `fn` as the subject of `token`. */
  as<T>(token: string, fn: () => T): Promise<Awaited<T>>
  /** Sends a request to the destination, and returns the tokens that have arrived there with it. */
  send(path?: string): Promise<readonly string[]>
}

export interface RelayChanges {
  readonly exchange?: Partial<ExchangeOptions>
  readonly rule?: Partial<DestinationExchangeOptions>
  readonly destination?: Partial<DestinationOptions>
  readonly issuer?: Partial<IssuerOptions>
  readonly relay?: Partial<TokenRelayOptions>
}

export async function startRig(changes: RelayChanges = {}): Promise<Rig> {
  await using resources = new Resources()
  const issuer = resources.use(await startIssuer())
  const endpoint = resources.use(await startTokenEndpoint(issuer))
  const sink = resources.use(await startSink())
  let relay = create(changes)
  const kept = resources.move()

  function create({ exchange, rule, destination, issuer: named, relay: others }: RelayChanges): TokenRelay {
    const client = {
      tokenEndpoint: endpoint.url,
      clientId: 'user-service',
      clientSecret: 'secret',
      timeoutMillis: 60_000,
      ...exchange,
    }
    return createTokenRelay({
      issuers: [{ issuer: issuer.issuer, audience: 'user-service', exchange: client, ...named }],
      destinations: [{ to: sink.origin, exchange: { audience: 'billing', ...rule }, ...destination }],
      ...others,
    })
  }

  return {
    issuer,
    endpoint,
    sink,
    get relay() {
      return relay
    },
    async relayWith(next) {
      await relay.shutdown()
      relay = create(next)
      return relay
    },
    as: (token, fn) => runWithToken(token, fn),
    async send(path = '/') {
      const before = sink.received.length
      await (await fetch(`${sink.origin}${path}`)).text()
      return sink.received.slice(before).flatMap(({ authorization }) => authorization.map((value) => value.slice(7)))
    },
    async [Symbol.asyncDispose]() {
      await relay.shutdown()
      await kept[Symbol.asyncDispose]()
    },
  }
}

/** The claims of the one token of a request. */
export function claimsOf([token = '', ...others]: readonly string[]): JWTPayload {
  if (others.length > 0) throw new Error('more than one token')
  return decodeJwt(token)
}

/** How an operation ended: its value, or the code of its error. */
export async function outcome(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (value) => value ?? 'done',
    (error: unknown) => (error as { code?: unknown }).code ?? (error as Error).name,
  )
}
