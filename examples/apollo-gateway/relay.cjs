/** The options of the gateway, which gets tokens of its own. */

const { env } = require('node:process')

module.exports = {
  issuers: [
    {
      issuer: env.ISSUER,
      audience: env.AUDIENCE,
      exchange: { clientId: env.CLIENT_ID, clientSecret: env.CLIENT_SECRET },
    },
  ],
  destinations: [{ to: env.USERS_URL }],
}
