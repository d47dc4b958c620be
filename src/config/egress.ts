/** The options `egress`: how requests are sent on. */

import * as v from 'valibot'
import type { EgressMode } from '../destination/decision.ts'
import type { DetectorMode } from '../destination/lost-caller-warnings.ts'
import { group, oneOf, variable } from './parts.ts'

/** How requests are sent on. */
export interface EgressOptions {
  /**
   * `enforce` sends tokens to the named destinations. `report` makes the same decisions, reports them in events and
   * metrics, and sends no token: it shows which destinations to name. Default `enforce`.
   */
  readonly mode?: EgressMode
  /**
   * For development. `warn` reports calls to named destinations that have no caller to OpenTelemetry's diagnostic
   * logger, once for each place in the application: calls without a caller, with a token that is not verified, after
   * the request of their caller, or for several callers at once. It reads the stack of every call, and replaces
   * `fetch`, `setTimeout`, `setInterval` and `setImmediate` of the global object. `off` does nothing. Default `off`.
   */
  readonly detector?: DetectorMode
}

export const egressSchema = group({
  mode: v.pipe(v.optional(oneOf('enforce', 'report'), 'enforce'), variable('TOKEN_RELAY_EGRESS_MODE', 'text')),
  detector: v.pipe(v.optional(oneOf('off', 'warn'), 'off'), variable('TOKEN_RELAY_EGRESS_DETECTOR', 'text')),
})
