/** One piece of work at a time for each name: whoever asks meanwhile waits for the same outcome. */

import { cloneError, TokenError } from '../token/errors.ts'

export type SingleFlight<T> = (name: string, work: () => Promise<T>) => Promise<T>

/** Those who waited get the same value, and an error of their own. */
export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>()

  return (name, work) => {
    const flight = flights.get(name)
    if (flight !== undefined) return flight.catch(rethrowClone)
    const started = work().finally(() => flights.delete(name))
    flights.set(name, started)
    return started
  }
}

function rethrowClone(error: unknown): never {
  throw error instanceof TokenError ? cloneError(error) : error
}
