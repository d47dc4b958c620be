/** OpenTelemetry with all of its instrumentations, and the relay among its propagators. Comes before the clients are loaded. */

const { CompositePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node')
const { createTokenRelay } = require('otel-token-relay')

const relay = createTokenRelay(JSON.parse(process.env.OPTIONS))
/** How many `auth.message.decided` there were, by verdict and code. */
const decided = {}
const counter = {
  onStart() {},
  onEnd({ events }) {
    for (const { name, attributes = {} } of events) {
      if (name !== 'auth.message.decided') continue
      const { 'auth.message.verdict': verdict, 'error.type': code } = attributes
      const outcome = code === undefined ? verdict : `${verdict} ${code}`
      decided[outcome] = (decided[outcome] ?? 0) + 1
    }
  },
  forceFlush: async () => undefined,
  shutdown: async () => undefined,
}
new NodeSDK({
  autoDetectResources: false,
  spanProcessors: [counter],
  textMapPropagator: new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  instrumentations: [getNodeAutoInstrumentations()],
}).start()
module.exports = { relay, decided }
