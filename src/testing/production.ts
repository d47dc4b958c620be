/** Keeps the test kit out of production: what can make tokens must not be within reach of a service. */

import process from 'node:process'

/** The variable that allows the kit, and the only value that does so. */
const VARIABLE = 'OTEL_TOKEN_RELAY_TESTING'
const ALLOWED = 'allow-in-production'

/**
 * Throws if `NODE_ENV` is `production`, in any case, and `OTEL_TOKEN_RELAY_TESTING` is not `allow-in-production`. The
 * name is not one of `TOKEN_RELAY_…`: those are options of the relay, and this is none.
 */
export function refuseProduction(environment: NodeJS.ProcessEnv = process.env): void {
  if (environment['NODE_ENV']?.trim().toLowerCase() !== 'production' || environment[VARIABLE] === ALLOWED) return
  throw new Error(
    `otel-token-relay/testing is for tests, and NODE_ENV is production. If this process is a test, set ${VARIABLE}=${ALLOWED}.`,
  )
}
