/** The options of profile-service: its callers' tokens are not for billing-service, which gets others in their place. */

const { env } = require('node:process')

module.exports = {
  issuers: [
    {
      issuer: env.ISSUER,
      audience: env.AUDIENCE,
      clockToleranceSeconds: 0,
      exchange: { clientId: env.CLIENT_ID, clientSecret: env.CLIENT_SECRET },
    },
  ],
  // In clear text on this machine, and in deploy/kubernetes, where a mesh encrypts.
  destinations: [
    { to: env.BILLING_URL, allowCleartext: true, exchange: { audience: env.BILLING_AUDIENCE, scope: 'invoices:read' } },
  ],
  ingress: { publicPaths: ['/health'], readyPath: '/ready' },
  // Names of services, fit to be read in a trace.
  telemetry: { actors: 'plain' },
}
