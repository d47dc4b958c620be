/** The options `telemetry` and `fingerprintKey`: how tokens appear in events. */

import * as v from 'valibot'
import { group, oneOf, variable } from './parts.ts'

/** How tokens appear in events. */
export interface TelemetryOptions {
  /**
   * How the actors of a token (`sub` of `act`, RFC 8693 §4.1) appear in `auth.token.actors`: as a keyed `hash`, or
   * `plain`, which is only for names of services and never for people. Default `hash`.
   */
  readonly actors?: 'hash' | 'plain'
}

export const telemetrySchema = group({
  actors: v.pipe(v.optional(oneOf('hash', 'plain'), 'hash'), variable('TOKEN_RELAY_TELEMETRY_ACTORS', 'text')),
})

const KEY = 'expected at least 16 characters'
export const fingerprintKeySchema = v.pipe(
  v.optional(v.pipe(v.string(KEY), v.minLength(16, KEY))),
  variable('TOKEN_RELAY_FINGERPRINT_KEY', 'text'),
)
