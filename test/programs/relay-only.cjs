/** A relay that is created in code and of which nothing is taken. Options come as JSON in RELAY_OPTIONS. */

const { createTokenRelay } = require('otel-token-relay')

createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS))
