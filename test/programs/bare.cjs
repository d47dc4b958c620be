/** The relay without any SDK: no tracer, no instrumentation, no other context manager. */

const { createTokenRelay } = require('otel-token-relay')

createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS)).instrumentation.enable()
