/**
 * The application’s own OpenTelemetry set-up, with the relay added to it. Options come as JSON in RELAY_OPTIONS, headers to
 * capture in CAPTURED_HEADERS.
 */

const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { createTokenRelay } = require('otel-token-relay')

const relay = createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS))
const captured = process.env.CAPTURED_HEADERS?.split(',')
const requestHeaders = captured && { requestHeaders: captured }
const forHttp = captured && { headersToSpanAttributes: { client: requestHeaders, server: requestHeaders } }
const forUndici = captured && { headersToSpanAttributes: requestHeaders }
const sdk = new NodeSDK({
  textMapPropagator: new CompositePropagator({
    propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator(), relay.propagator],
  }),
  instrumentations: [new HttpInstrumentation(forHttp), new UndiciInstrumentation(forUndici), relay.instrumentation],
})
sdk.start()
process.on('SIGTERM', () => sdk.shutdown().finally(() => process.exit(0)))
module.exports = relay
