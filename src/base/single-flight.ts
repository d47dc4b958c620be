/** One piece of work at a time per name: callers that come meanwhile wait for the same outcome. */

export interface SingleFlight<T> {
  /** Waits for the work under `name`, which `work` starts if there is none. */
  run(name: string, work: () => Promise<T>): Promise<T>
}

/** All who wait get the same value, or each another error, which `errorFor` makes: errors carry stacks. */
export function createSingleFlight<T>(errorFor: (error: unknown) => unknown): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>()

  function start(name: string, flight: Promise<T>): Promise<T> {
    const forget = (): void => {
      if (flights.get(name) === flight) flights.delete(name)
    }
    flights.set(name, flight)
    flight.then(forget, forget)
    return flight
  }

  return {
    run(name, work) {
      const joined = flights.get(name)?.catch((error: unknown) => {
        throw errorFor(error)
      })
      return joined ?? start(name, work())
    },
  }
}
