/** A service that leaks: the audit service gets the token of the caller by hand. */

const { getActiveCredential } = require('otel-token-relay')

exports.sendOrder = async (billing, audit) => {
  await fetch(`${billing}/orders`, { method: 'POST' })
  const headers = { authorization: `Bearer ${getActiveCredential().reveal()}` }
  await fetch(`${audit}/records`, { method: 'POST', headers })
}
