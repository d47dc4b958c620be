/** A handler without a framework. */

const { getActiveCredential } = require('otel-token-relay')

exports.describeCaller = async () => {
  await new Promise(setImmediate)
  const { subject, scopes } = getActiveCredential() ?? {}
  return subject === undefined ? 'nothing known' : `${subject} may ${scopes.join(' and ')}`
}
