/** Calls one endpoint of an issuer: repeats what failed for a moment, and leaves it alone while it is down. */

import { portOf } from '../base/urls.ts'
import { createResilience } from './resilience.ts'

/**
 * Runs `work`, and repeats it if its error is transient and `repeatable` allows it.
 *
 * @throws what `work` throws, or ResilienceError if it was not run to its end.
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
  const endpoint = new URL(url)
  const resilience = createResilience({
    server: { 'server.address': endpoint.hostname, 'server.port': portOf(endpoint) },
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
