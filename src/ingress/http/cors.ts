/** Lets pages of listed origins read what the gate answers, and answers their preflights (Fetch standard §3.3). */

import type { IncomingHttpHeaders } from 'node:http'
import type { Answer } from '../../token/challenge.ts'
import type { Incoming } from './incoming.ts'

export interface CorsSettings {
  /** As browsers write them in `Origin`. */
  readonly origins: readonly string[]
  readonly allowCredentials: boolean
}

export interface Cors {
  /** `answer` with the fields that let the page read it, if the origin of the request is listed. */
  makeReadable(answer: Answer, headers: IncomingHttpHeaders): Answer
  /** The answer to a preflight request of a listed origin; `undefined` for any other request. */
  answerPreflight(event: string, incoming: Incoming): Answer | undefined
}

/** What a page may read beside the status: the fields that the Fetch standard does not show by itself. */
const EXPOSED = 'WWW-Authenticate, Retry-After'

/** RFC 9110 §5.6.2; and a list of names, bounded, because it is repeated in the answer. */
const TOKEN = /^[\w!#$%&'*+\-.^`|~]{1,64}$/
const NAMES = /^[\w!#$%&'*+\-.^`|~, ]{0,2048}$/

export function createCors({ origins, allowCredentials }: CorsSettings): Cors {
  const listed = new Set(origins)
  const credentials = allowCredentials ? { 'access-control-allow-credentials': 'true' } : {}

  /** Two `Origin` lines are a list with a comma, which is no origin. */
  function originOf({ origin }: IncomingHttpHeaders): string | undefined {
    return origin !== undefined && listed.has(origin) ? origin : undefined
  }

  return {
    makeReadable(answer, headers) {
      const origin = originOf(headers)
      const allowed =
        origin === undefined
          ? {}
          : { 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED, ...credentials }
      // In any case: a shared cache must not give one origin the answer that another one got.
      return { ...answer, headers: { ...answer.headers, ...allowed, vary: 'Origin' } }
    },
    answerPreflight(event, incoming) {
      if (!isPreflight(event, incoming)) return undefined
      const { headers } = incoming
      const origin = originOf(headers)
      const method = headers['access-control-request-method'] ?? ''
      const names = headers['access-control-request-headers'] ?? ''
      if (origin === undefined || !TOKEN.test(method) || !NAMES.test(names)) return undefined
      const allowed = {
        'access-control-allow-origin': origin,
        'access-control-allow-methods': method,
        ...(names === '' ? {} : { 'access-control-allow-headers': names }),
        ...credentials,
      }
      const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
      return { status: 204, reason: 'No Content', headers: { ...allowed, vary, 'cache-control': 'no-store' }, body: '' }
    },
  }
}

/**
 * Fields that no preflight request has: of another protocol, and what makes some servers read another method out of it.
 */
const NOT_IN_PREFLIGHT = ['expect', 'upgrade', 'x-http-method', 'x-http-method-override', 'x-method-override']

/** A CORS preflight request (Fetch standard §4.8): browsers send it without credentials, whatever the request has. */
export function isPreflight(event: string, { method, headers, hasBody }: Incoming): boolean {
  // Never an upgrade, a tunnel, or an expectation.
  if (method !== 'OPTIONS' || (event !== 'request' && event !== 'stream')) return false
  const asks = Boolean(headers.origin) && Boolean(headers['access-control-request-method'])
  if (!asks || hasBody || /\bupgrade\b/i.test(headers.connection ?? '')) return false
  return NOT_IN_PREFLIGHT.every((name) => headers[name] === undefined)
}
