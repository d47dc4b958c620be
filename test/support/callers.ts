/** Many callers at once, in the process of the test, and a sink that says as whom their calls arrived. */

import { setTimeout as wait } from 'node:timers/promises'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { ISSUER, optionsFor } from './relay.ts'
import { createSigner, goodClaims } from './signer.ts'
import { startSink } from './sink.ts'

interface Verdict {
  readonly right: number
  readonly wrong: number
  readonly nobody: number
}

export interface Callers {
  readonly relay: TokenRelay
  readonly origin: string
  /** A good token of `user`; no two are the same. */
  token(user: string): string
  /** Runs `fn` as `user`, verified. */
  as<T>(user: string, fn: () => T): Promise<Awaited<T>>
  /** Runs `fn` as each of `count` users, all at once and in turns; then `meanwhile`, before their work is over. */
  asEach(fn: (user: string) => unknown, count?: number, meanwhile?: () => unknown): Promise<void>
  /** A call on behalf of `user`, whatever the active caller. */
  call(user: string): Promise<void>
  /** As whom the calls on behalf of users arrived since the last time. */
  verdict(): Verdict
  /** As whom each call arrived since the last time, in order: `bob as alice`. */
  arrivals(): readonly string[]
  [Symbol.asyncDispose](): Promise<void>
}

export async function startCallers(options: Partial<TokenRelayOptions> = {}): Promise<Callers> {
  const signer = createSigner()
  const sink = await startSink()
  const relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: sink.origin }], ...options })
  const token = (user: string): string => signer.token(goodClaims(ISSUER, { sub: user, jti: crypto.randomUUID() }))
  const as: Callers['as'] = (user, fn) => runWithToken(token(user), fn)

  function arrivals(): string[] {
    const pairs = sink.received.map(
      ({ target, authorization }) => `${target.slice(1)} as ${subjectOf(authorization[0])}`,
    )
    sink.clear()
    return pairs
  }

  return {
    relay,
    origin: sink.origin,
    token,
    as,
    async asEach(fn, count = 100, meanwhile = () => undefined) {
      const users = Array.from({ length: count }, (_, i) => ({
        user: `user-${i}`,
        done: Promise.withResolvers<void>(),
      }))
      const over = Promise.withResolvers<void>()
      const work = users.map(({ user, done }, i) =>
        as(user, async () => {
          await wait(i % 4)
          await fn(user)
          done.resolve()
          await over.promise
        }).catch(done.reject),
      )
      try {
        await Promise.all(users.map(({ done }) => done.promise))
        await meanwhile()
      } finally {
        over.resolve()
        await Promise.all(work)
      }
    },
    async call(user) {
      const response = await fetch(`${sink.origin}/${user}`)
      await response.text()
    },
    verdict() {
      const verdict = { right: 0, wrong: 0, nobody: 0 }
      for (const arrival of arrivals()) {
        const [user, subject] = arrival.split(' as ')
        verdict[subject === 'nobody' ? 'nobody' : subject === user ? 'right' : 'wrong'] += 1
      }
      return verdict
    },
    arrivals,
    async [Symbol.asyncDispose]() {
      await relay.shutdown()
      await sink[Symbol.asyncDispose]()
    },
  }
}

function subjectOf(authorization: string | undefined): string {
  if (authorization === undefined) return 'nobody'
  const payload = authorization.split('.')[1] ?? ''
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly sub: string }).sub
}
