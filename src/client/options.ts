/** The options of a service client: names, ranges and defaults. */

import * as v from 'valibot'
import { checkOptions, integer, object } from '../base/schema.ts'
import type { BulkheadSettings } from '../resilience/bulkhead.ts'
import type { CircuitSettings } from '../resilience/circuit.ts'
import type { RetrySettings } from '../resilience/retry.ts'
import type { CircuitState } from '../telemetry/events.ts'
import type { HeaderFields } from './option-schemas.ts'
import { aFunction, headersSchema, timeoutMillis } from './option-schemas.ts'

/** How failed calls are repeated: see `retry` of {@link ServiceClientOptions}. */
export interface RetryOptions {
  /** Most attempts for a call, including the first: 1 to 10. Default 3. */
  readonly maxAttempts?: number
  /**
   * Longest wait before the second attempt in milliseconds; it doubles for each further attempt. 1 to 60000; default
   * 100.
   */
  readonly baseDelayMillis?: number
  /** Longest wait before any attempt in milliseconds, unless the service asks for more. 1 to 60000; default 2000. */
  readonly maxDelayMillis?: number
  /**
   * Most retries per call within 10 seconds, so that retries cannot keep a service down; 10 retries are always allowed.
   * 0 to 1; default 0.2.
   */
  readonly budgetRatio?: number
}

/** When calls are suspended: see `circuitBreaker` of {@link ServiceClientOptions}. */
export interface CircuitBreakerOptions {
  /** The circuit opens if more than this share of the last attempts failed. Above 0 and below 1; default 0.5. */
  readonly failureRatio?: number
  /** Fewest attempts before the circuit can open: 1 to `windowCalls`. Default 20. */
  readonly minimumCalls?: number
  /** Number of last attempts that count: 1 to 10000. Default 100. */
  readonly windowCalls?: number
  /** How long the circuit stays open before one trial attempt, in milliseconds: 1 to 2147483647. Default 10000. */
  readonly openMillis?: number
}

/** How many calls run at once: see `bulkhead` of {@link ServiceClientOptions}. */
export interface BulkheadOptions {
  /** Most attempts that run at once: 1 to 100000. Default 50. */
  readonly maxConcurrent?: number
  /** Most attempts that wait for a free slot: 0 to 100000. Default 100. */
  readonly maxQueued?: number
}

/** The new state of a circuit breaker. */
export interface CircuitChange {
  readonly state: CircuitState
  /** Origin of `baseUrl`. */
  readonly origin: string
}

/** Options of {@link createServiceClient}. */
export interface ServiceClientOptions<Endpoints> {
  /**
   * URL of the service: http or https, without userinfo, query and fragment. Its path is the prefix of all endpoint
   * paths.
   */
  readonly baseUrl: string
  /** The endpoints, by the names of the client's methods. */
  readonly endpoints: Endpoints
  /**
   * Longest duration of a call in milliseconds, including the queue, all attempts and the waits between them. Default
   * 5000.
   */
  readonly timeoutMillis?: number
  /** Longest duration of one attempt in milliseconds. Default: that of the call. */
  readonly attemptTimeoutMillis?: number
  /**
   * Repeats idempotent calls after a transient failure: a failed or broken connection, an attempt time-out, 408, 425,
   * 429, 502, 503, 504. The wait is random, grows with each attempt, and is at least as long as `Retry-After`. An
   * attempt that would start after the deadline is given up at once. `false` disables retries.
   */
  readonly retry?: RetryOptions | false
  /**
   * Suspends calls to a service that fails: a failed or broken connection, a time-out, 5xx. Aborted calls do not count.
   * `false` disables the circuit breaker.
   */
  readonly circuitBreaker?: CircuitBreakerOptions | false
  /** Bounds how many calls to this service run at once. `false` removes the bound. */
  readonly bulkhead?: BulkheadOptions | false
  /**
   * Header fields of every request. Fields of the endpoint and of the call override them. An `authorization` is not
   * changed.
   */
  readonly headers?: HeaderFields
  /** Largest response in bytes after decompression: at least 1. Default 1048576. */
  readonly maxResponseBytes?: number
  /**
   * Called when the state of the circuit breaker changes, in the context of the call that changed it. Its errors are
   * ignored.
   */
  readonly onCircuitChange?: (change: CircuitChange) => void
  /** The `fetch` to use. Default: the global `fetch`, read at every call. */
  readonly fetch?: typeof fetch
  /** An undici `Dispatcher` for that `fetch`: client certificates, limits, a proxy. Default: the global one. */
  readonly dispatcher?: object
}

/** Validated options with all defaults. */
export interface ClientSettings {
  readonly baseUrl: URL
  readonly endpoints: Readonly<Record<string, unknown>>
  readonly timeoutMillis: number
  readonly attemptTimeoutMillis: number | undefined
  readonly retry: RetrySettings | undefined
  readonly circuitBreaker: CircuitSettings | undefined
  readonly bulkhead: BulkheadSettings | undefined
  readonly headers: HeaderFields
  readonly maxResponseBytes: number
  readonly onCircuitChange: ((change: CircuitChange) => void) | undefined
  readonly fetch: typeof fetch | undefined
  readonly dispatcher: object | undefined
}

const whole = (minimum: number, maximum: number, unit: string) =>
  integer(`expected ${minimum} to ${maximum} ${unit}`, minimum, maximum)
const GROUP = 'expected an object or false'
const optionalGroup = <T extends object>(group: v.GenericSchema<unknown, T>) =>
  v.optional(v.union([v.literal(false, GROUP), group], GROUP), {})

const groupOf = <const E extends v.ObjectEntries>(entries: E) => object(entries, GROUP)

const SHARE = 'expected 0 to 1'
const retry = groupOf({
  maxAttempts: v.optional(whole(1, 10, 'attempts'), 3),
  baseDelayMillis: v.optional(whole(1, 60_000, 'milliseconds'), 100),
  maxDelayMillis: v.optional(whole(1, 60_000, 'milliseconds'), 2_000),
  budgetRatio: v.optional(v.pipe(v.number(SHARE), v.minValue(0, SHARE), v.maxValue(1, SHARE)), 0.2),
})
const RATIO = 'expected a number above 0 and below 1'
const circuitBreaker = v.pipe(
  groupOf({
    failureRatio: v.optional(v.pipe(v.number(RATIO), v.gtValue(0, RATIO), v.ltValue(1, RATIO)), 0.5),
    minimumCalls: v.optional(whole(1, 10_000, 'attempts'), 20),
    windowCalls: v.optional(whole(1, 10_000, 'attempts'), 100),
    openMillis: v.optional(timeoutMillis, 10_000),
  }),
  v.forward(
    v.check(({ minimumCalls, windowCalls }) => minimumCalls <= windowCalls, 'expected no more than windowCalls'),
    ['minimumCalls'],
  ),
)
const bulkhead = groupOf({
  maxConcurrent: v.optional(whole(1, 100_000, 'attempts'), 50),
  maxQueued: v.optional(whole(0, 100_000, 'attempts'), 100),
})

const BASE_URL = 'required: an http or https URL without userinfo, query and fragment'
const anObject = <T>(problem: string) => v.custom<T>((value) => typeof value === 'object' && value !== null, problem)

const clientSchema = object(
  {
    baseUrl: v.pipe(
      v.string(BASE_URL),
      v.check((text) => parseBaseUrl(text) !== undefined, BASE_URL),
      v.transform((text) => new URL(text)),
    ),
    endpoints: anObject<Readonly<Record<string, unknown>>>('required: an object of endpoints'),
    timeoutMillis: v.optional(timeoutMillis, 5_000),
    attemptTimeoutMillis: v.optional(timeoutMillis),
    retry: optionalGroup(retry),
    circuitBreaker: optionalGroup(circuitBreaker),
    bulkhead: optionalGroup(bulkhead),
    headers: v.optional(headersSchema),
    maxResponseBytes: v.optional(integer('expected whole bytes, at least 1', 1), 1_048_576),
    onCircuitChange: v.optional(aFunction<(change: CircuitChange) => void>()),
    fetch: v.optional(aFunction<typeof fetch>()),
    dispatcher: v.optional(anObject<object>('expected an undici dispatcher')),
  },
  'required: an object with baseUrl and endpoints',
)

function parseBaseUrl(text: string): URL | undefined {
  if (!URL.canParse(text) || /[?#\\\s]/.test(text)) return undefined
  const url = new URL(text)
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp && url.username === '' && url.password === '' && url.hostname !== '' ? url : undefined
}

/** `false` is written for a group that is left out. */
function groupIn<T extends object>(given: T | false): T | undefined {
  return given === false ? undefined : given
}

/** @throws OptionError that names the path of the first wrong option, never its value. */
export function parseClientOptions(options: unknown): ClientSettings {
  const checked = checkOptions(clientSchema, options, ['endpoints', 'dispatcher'])
  return {
    ...checked,
    retry: groupIn(checked.retry),
    circuitBreaker: groupIn(checked.circuitBreaker),
    bulkhead: groupIn(checked.bulkhead),
    headers: checked.headers ?? {},
  }
}

/** Options of one call. */
export interface CallOptions {
  /** Ends the call when it aborts: nothing is sent, awaited or counted after that. */
  readonly signal?: AbortSignal
  /** Longest duration of the call in milliseconds: 1 to 2147483647. Default: that of the endpoint or the client. */
  readonly timeoutMillis?: number
  /** Header fields; override those of the endpoint and the client. */
  readonly headers?: HeaderFields
}

/** Validated options of one call. */
export type CallSettings = { readonly [Name in keyof CallOptions]: CallOptions[Name] | undefined }

const callSchema = object(
  {
    signal: v.optional(v.custom<AbortSignal>((value) => value instanceof AbortSignal, 'expected an AbortSignal')),
    timeoutMillis: v.optional(timeoutMillis),
    headers: v.optional(headersSchema),
  },
  'expected an object',
)

/** @throws OptionError as {@link parseClientOptions} does. */
export function parseCallOptions(options: unknown): Required<CallSettings> {
  return checkOptions(callSchema, options ?? {}, ['signal'])
}
