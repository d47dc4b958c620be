/** The relay in a program without any OpenTelemetry SDK. Options come as JSON in RELAY_OPTIONS. */

const { createTokenRelay } = require('otel-token-relay')

createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS)).instrumentation.enable()
