/** Reads from an HTTP answer whether the service is well, and whether to try again. */

import type { Failure } from './outcome.ts'

/** Statuses after which the same request may succeed a moment later (RFC 9110 §15, RFC 6585 §4, RFC 8470 §5.2). */
const TRANSIENT: readonly number[] = [408, 425, 429, 502, 503, 504]

export function isTransientStatus(status: number): boolean {
  return TRANSIENT.includes(status)
}

/** The failure that a status stands for; `error` is what the caller gets. */
export function failureOfStatus(status: number, headers: Headers, error: unknown): Failure {
  const transient = isTransientStatus(status)
  const retryAfterMillis = transient ? parseRetryAfter(headers.get('retry-after')) : undefined
  return { ok: false, error, unhealthy: status >= 500, transient, retryAfterMillis }
}

// IMF-fixdate (RFC 9110 §5.6.7): what senders must write. `Date.parse` alone takes almost anything.
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** `Retry-After` (RFC 9110 §10.2.3) as milliseconds from now; `undefined` if it cannot be understood. */
export function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const at = HTTP_DATE.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}
