/** Measures retries, circuits and bulkheads, through whatever meter provider the process has at the moment. */

import type { Counter, MeterProvider, UpDownCounter } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'
import type { CircuitState, ServerAttributes } from './auth-event.ts'

interface Instruments {
  readonly provider: MeterProvider
  readonly retries: Counter
  readonly circuitChanges: Counter
  readonly running: UpDownCounter
  readonly queued: UpDownCounter
}

let instruments: Instruments | undefined

export function measureRetry(server: ServerAttributes): void {
  safely(() => currentInstruments().retries.add(1, server))
}

export function measureCircuitChange(server: ServerAttributes, state: CircuitState): void {
  safely(() => currentInstruments().circuitChanges.add(1, { ...server, 'resilience.circuit.state': state }))
}

/** Counts a call that is under way, or waits for its turn, until the returned function is called. */
export function measureOccupancy(server: ServerAttributes, where: 'running' | 'queued'): () => void {
  let counter: UpDownCounter | undefined
  safely(() => {
    counter = currentInstruments()[where]
    counter.add(1, server)
  })
  // On the instrument that counted it: that of another provider would go below zero.
  return () => safely(() => counter?.add(-1, server))
}

/** Never throws: a broken meter must not break a call. */
function safely(measure: () => void): void {
  try {
    measure()
  } catch {
    // Nothing to measure with.
  }
}

/** The API has no proxy for meters: those of a provider that comes later have to be asked for again. */
function currentInstruments(): Instruments {
  const provider = metrics.getMeterProvider()
  if (instruments?.provider === provider) return instruments
  const meter = provider.getMeter('otel-token-relay')
  instruments = {
    provider,
    retries: meter.createCounter('resilience.retries', { description: 'Repeated attempts.', unit: '{attempt}' }),
    circuitChanges: meter.createCounter('resilience.circuit.changes', {
      description: 'Changes of the state of a circuit breaker.',
      unit: '{change}',
    }),
    running: meter.createUpDownCounter('resilience.bulkhead.running', {
      description: 'Attempts that are under way.',
      unit: '{attempt}',
    }),
    queued: meter.createUpDownCounter('resilience.bulkhead.queued', {
      description: 'Attempts that wait for others to end.',
      unit: '{attempt}',
    }),
  }
  return instruments
}
