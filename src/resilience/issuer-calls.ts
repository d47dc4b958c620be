/** Calls to one endpoint of an issuer, for a token or about one: tried again, and left alone while it is down. */

import { createResilience } from './resilience.ts'

/**
 * Runs `work`, again where its error is transient and it may be repeated.
 *
 * @throws what `work` throws, or ResilienceError where it was not run to its end.
 */
export type IssuerCall = <T>(work: (signal: AbortSignal) => Promise<T>, repeatable: boolean) => Promise<T>

export interface IssuerCallOptions {
  readonly url: string
  /** Total time, everything included. */
  readonly timeoutMillis: number
  /** Whether another attempt may succeed. Such an error also counts against the endpoint. */
  readonly isTransient: (error: unknown) => boolean
}

const RETRY = { maxAttempts: 2, baseDelayMillis: 100, maxDelayMillis: 1_000, budgetRatio: 0.2 }
const CIRCUIT = { failureRatio: 0.5, minimumCalls: 10, windowCalls: 20, openMillis: 2_000 }

export function createIssuerCalls({ url, timeoutMillis, isTransient }: IssuerCallOptions): IssuerCall {
  const { hostname, port, protocol } = new URL(url)
  const resilience = createResilience({
    server: { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) },
    timeoutMillis,
    retry: RETRY,
    circuitBreaker: CIRCUIT,
  })
  return (work, repeatable) =>
    resilience.execute(
      (signal) =>
        work(signal).then(
          (value) => ({ ok: true, value }) as const,
          (error: unknown) => {
            const transient = isTransient(error)
            return { ok: false, error, unhealthy: transient, transient } as const
          },
        ),
      { repeatable },
    )
}
