/** The trace back end that the environment names instead of ours, and how to reach it. */

import process from 'node:process'

/** `undefined` where there is none; OpenTelemetry takes an empty variable for an unset one. */
export function foreignEndpoint(): string | undefined {
  return process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] || undefined
}

/** All that the environment says to OpenTelemetry. */
export function foreignSettings(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('OTEL_')))
}
