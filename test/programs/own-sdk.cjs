/** The application's own OpenTelemetry set-up, made inside the program, which knows nothing of the relay. */

const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
const { NodeSDK } = require('@opentelemetry/sdk-node')

const sdk = new NodeSDK({
  serviceName: 'own-sdk',
  instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation()],
})
sdk.start()
// As the API has it: the third one is refused.
if (require('@opentelemetry/api').context.setGlobalContextManager({})) throw new Error('registered twice')
process.on('SIGTERM', () => sdk.shutdown().finally(() => process.exit(0)))
require('./service.cjs')
