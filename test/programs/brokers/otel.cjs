/** OpenTelemetry with all of its instrumentations, and the relay among its propagators. Comes before the clients are loaded. */

const { CompositePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node')
const { createTokenRelay } = require('otel-token-relay')

const relay = createTokenRelay(JSON.parse(process.env.OPTIONS))
new NodeSDK({
  autoDetectResources: false,
  textMapPropagator: new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  instrumentations: [getNodeAutoInstrumentations()],
}).start()
module.exports = relay
