/** The options `telemetry` and `fingerprintKey`: how tokens appear in events. */

import * as v from 'valibot'
import type { LogLevel, RelayLogger } from '../telemetry/log-record.ts'
import { aFunction, group, oneOf, variable } from './parts.ts'

/** How tokens appear in events. */
export interface TelemetryOptions {
  /**
   * How the actors of a token (`sub` of `act`, RFC 8693 §4.1) appear in `auth.token.actors`: as a keyed `hash`, or
   * `plain`, which is only for names of services and never for people. Default `hash`.
   */
  readonly actors?: 'hash' | 'plain'
  /**
   * What the relay writes to standard error, one line each. `problems`: at start what is in place; then why a request
   * was refused, why a token was withheld from a named destination, and what does not work (keys, stores, the audit
   * trail). The first line of a cause comes at once, further ones once a minute with their number. `decisions`: callers
   * that were admitted and tokens that were sent as well, at most 100 lines of a kind in a second. `off`: nothing. A
   * function gets each line as a record, those of `decisions` included, in place of standard error; it must not throw.
   * No line holds a token, or a claim that is not configured. Default `problems`.
   */
  readonly log?: LogLevel | RelayLogger
  /**
   * Key of `enduser.pseudo.id`, at least 16 characters, the same in all services that share traces: a keyed hash
   * (HMAC-SHA-256) of issuer and subject on the span of each admitted request and message, by which all requests of
   * one person are found. Everyone who has the key and knows a subject can compute it. Default: none, and no such
   * attribute.
   */
  readonly pseudonymKey?: string
  /** The form of the lines: `text`, or a `json` object on each line. Does not apply to a function. Default `text`. */
  readonly logFormat?: 'text' | 'json'
}

const KEY = 'expected at least 16 characters'
const keyText = () => v.pipe(v.string(KEY), v.minLength(16, KEY))

const LOG = 'expected off, problems, decisions or a function'

export const telemetrySchema = group({
  actors: v.pipe(v.optional(oneOf('hash', 'plain'), 'hash'), variable('TOKEN_RELAY_TELEMETRY_ACTORS', 'text')),
  log: v.pipe(
    v.optional(v.union([v.picklist(['off', 'problems', 'decisions'], LOG), aFunction<RelayLogger>()], LOG), 'problems'),
    variable('TOKEN_RELAY_LOG', 'text'),
  ),
  pseudonymKey: v.pipe(v.optional(keyText()), variable('TOKEN_RELAY_TELEMETRY_PSEUDONYM_KEY', 'text')),
  logFormat: v.pipe(v.optional(oneOf('text', 'json'), 'text'), variable('TOKEN_RELAY_LOG_FORMAT', 'text')),
})

export const fingerprintKeySchema = v.pipe(v.optional(keyText()), variable('TOKEN_RELAY_FINGERPRINT_KEY', 'text'))
