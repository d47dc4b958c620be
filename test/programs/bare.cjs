/** The relay without any SDK: no tracer, no instrumentation, no context manager of somebody else. */

const { createTokenRelay } = require('otel-token-relay')

createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS)).instrumentation.enable()
