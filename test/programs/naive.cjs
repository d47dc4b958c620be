/** What many write in an afternoon: a propagator that copies the header. The rigs must catch it. */

const { createContextKey } = require('@opentelemetry/api')
const { CompositePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
const { NodeSDK } = require('@opentelemetry/sdk-node')

const KEY = createContextKey('naive token')
const naive = {
  inject(context, carrier, setter) {
    const token = context.getValue(KEY)
    if (token !== undefined) setter.set(carrier, 'authorization', token)
  },
  extract: (context, carrier, getter) => context.setValue(KEY, getter.get(carrier, 'authorization')),
  fields: () => ['authorization'],
}

new NodeSDK({
  textMapPropagator: new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), naive] }),
  instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation()],
}).start()
