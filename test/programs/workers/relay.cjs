/** The relay of a thread or process that has not been given one by `register`. */

const { createTokenRelay } = require('otel-token-relay')

if (process.env.OPTIONS !== undefined) createTokenRelay(JSON.parse(process.env.OPTIONS))
