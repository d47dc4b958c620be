/** The options: who may exchange, and which token billing gets in place of the caller's. */

const { env } = require('node:process')

module.exports = {
  issuers: [
    {
      issuer: env.ISSUER,
      audience: env.AUDIENCE,
      exchange: { clientId: env.CLIENT_ID, clientSecret: env.CLIENT_SECRET },
    },
  ],
  destinations: [{ to: env.BILLING_URL, exchange: { audience: env.BILLING_AUDIENCE, scope: 'invoices:read' } }],
}
