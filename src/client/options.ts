/** The options of a service client: names, ranges, defaults. */

import * as z from 'zod'
import type { BulkheadSettings } from '../resilience/bulkhead.ts'
import type { CircuitSettings } from '../resilience/circuit.ts'
import type { RetrySettings } from '../resilience/retry.ts'
import type { CircuitState } from '../telemetry/auth-event.ts'
import { checkOptions } from '../token/checked-options.ts'
import { own } from '../token/own.ts'
import type { HeaderFields } from './headers.ts'
import { headersSchema } from './headers.ts'
import { timeoutMillis } from './times.ts'

/** How calls are made again: see `retry` of {@link ServiceClientOptions}. */
export interface RetryOptions {
  /** Most attempts, the first included: 1 to 10. Default 3. */
  readonly maxAttempts?: number
  /** Longest wait before the second attempt, in milliseconds; doubled for each further one. 1 to 60000; default 100. */
  readonly baseDelayMillis?: number
  /** Longest wait before any attempt, in milliseconds, unless the service asks for more. 1 to 60000; default 2000. */
  readonly maxDelayMillis?: number
  /** Most retries for each call within 10 seconds, so that retries cannot keep a service down; 10 in all are always there. 0 to 1; default 0.2. */
  readonly budgetRatio?: number
}

/** When a service is left alone: see `circuitBreaker` of {@link ServiceClientOptions}. */
export interface CircuitBreakerOptions {
  /** Opens when more than this share of the last attempts failed. Above 0 and below 1; default 0.5. */
  readonly failureRatio?: number
  /** Does not open before so many attempts: 1 to `windowCalls`. Default 20. */
  readonly minimumCalls?: number
  /** How many attempts are looked back on: 1 to 10000. Default 100. */
  readonly windowCalls?: number
  /** How long it stays open before one attempt is let through, in milliseconds: 1 to 2147483647. Default 10000. */
  readonly openMillis?: number
}

/** How many calls there are at a time: see `bulkhead` of {@link ServiceClientOptions}. */
export interface BulkheadOptions {
  /** Most attempts under way: 1 to 100000. Default 50. */
  readonly maxConcurrent?: number
  /** Most attempts that wait for one of those to end: 0 to 100000. Default 100. */
  readonly maxQueued?: number
}

/** The circuit breaker of a client has changed. */
export interface CircuitChange {
  readonly state: CircuitState
  /** Origin of `baseUrl`. */
  readonly origin: string
}

/** Options of {@link createServiceClient}. */
export interface ServiceClientOptions<Endpoints> {
  /** Where the service is: an http or https URL without userinfo, query and fragment. Its path stands before all others. */
  readonly baseUrl: string
  /** What the service can be asked for, by the names that the client's methods get. */
  readonly endpoints: Endpoints
  /** How long a call may take, in milliseconds: waiting for its turn, attempts, and the time between them. Default 5000. */
  readonly timeoutMillis?: number
  /** How long one attempt may take, in milliseconds. Default: as long as the call. */
  readonly attemptTimeoutMillis?: number
  /**
   * Repeats calls that may be repeated where a failure passes: no or a broken connection, a time-out of an attempt, 408,
   * 425, 429, 502, 503, 504. Waits at random, longer each time, and at least as long as `Retry-After` says; gives up at
   * once what would begin after the deadline. `false`: never.
   */
  readonly retry?: RetryOptions | false
  /**
   * Leaves a service alone that fails: no or a broken connection, a time-out, 5xx. Calls that their caller aborts do not
   * count. `false`: never.
   */
  readonly circuitBreaker?: CircuitBreakerOptions | false
  /** Bounds how many calls this service can hold up at a time. `false`: any number. */
  readonly bulkhead?: BulkheadOptions | false
  /** Added to every request; those of the endpoint, and then of the call, win. An `authorization` is left as it is. */
  readonly headers?: HeaderFields
  /** Largest response that is read, in bytes after decompression: at least 1. Default 1048576. */
  readonly maxResponseBytes?: number
  /** Told when the circuit breaker changes, in the context of the call that made it change. What it throws is dropped. */
  readonly onCircuitChange?: (change: CircuitChange) => void
  /** Instead of the global `fetch`, which is asked for at every call. */
  readonly fetch?: typeof fetch
  /** An undici `Dispatcher` for that `fetch`: client certificates, limits, a proxy. Default: the global one. */
  readonly dispatcher?: object
}

/** Options after validation, with every default filled in. */
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

const whole = (min: number, max: number, unit: string) => {
  const problem = `expected ${min} to ${max} ${unit}`
  return z.int(problem).min(min, problem).max(max, problem)
}
const GROUP = 'expected an object or false'
const absent = (): Record<string, never> => Object.create(null) as Record<string, never>
const optionalGroup = <T extends z.ZodType>(group: T) =>
  z.union([z.literal(false), group], GROUP).prefault(absent as never)

const retry = z.strictObject({
  maxAttempts: whole(1, 10, 'attempts').default(3),
  baseDelayMillis: whole(1, 60_000, 'milliseconds').default(100),
  maxDelayMillis: whole(1, 60_000, 'milliseconds').default(2_000),
  budgetRatio: z.number('expected 0 to 1').min(0, 'expected 0 to 1').max(1, 'expected 0 to 1').default(0.2),
})
const RATIO = 'expected a number above 0 and below 1'
const circuitBreaker = z
  .strictObject({
    failureRatio: z.number(RATIO).gt(0, RATIO).lt(1, RATIO).default(0.5),
    minimumCalls: whole(1, 10_000, 'attempts').default(20),
    windowCalls: whole(1, 10_000, 'attempts').default(100),
    openMillis: timeoutMillis.default(10_000),
  })
  .refine(({ minimumCalls, windowCalls }) => minimumCalls <= windowCalls, {
    path: ['minimumCalls'],
    message: 'expected no more than windowCalls',
  })
const bulkhead = z.strictObject({
  maxConcurrent: whole(1, 100_000, 'attempts').default(50),
  maxQueued: whole(0, 100_000, 'attempts').default(100),
})

const BASE_URL = 'required: an http or https URL without userinfo, query and fragment'
const aFunction = <T>() => z.custom<T>((value) => typeof value === 'function', 'expected a function')
const anObject = <T>(problem: string) => z.custom<T>((value) => typeof value === 'object' && value !== null, problem)

const clientSchema = z.strictObject(
  {
    baseUrl: z
      .string(BASE_URL)
      .refine((text) => parseBaseUrl(text) !== undefined, BASE_URL)
      .transform((text) => new URL(text)),
    endpoints: anObject<Readonly<Record<string, unknown>>>('required: an object of endpoints'),
    timeoutMillis: timeoutMillis.default(5_000),
    attemptTimeoutMillis: timeoutMillis.optional(),
    retry: optionalGroup(retry),
    circuitBreaker: optionalGroup(circuitBreaker),
    bulkhead: optionalGroup(bulkhead),
    headers: headersSchema.optional(),
    maxResponseBytes: z.int('expected whole bytes').min(1, 'expected whole bytes, at least 1').default(1_048_576),
    onCircuitChange: aFunction<(change: CircuitChange) => void>().optional(),
    fetch: aFunction<typeof fetch>().optional(),
    dispatcher: anObject<object>('expected an undici dispatcher').optional(),
  },
  'required: an object with baseUrl and endpoints',
)

function parseBaseUrl(text: string): URL | undefined {
  if (!URL.canParse(text) || /[?#\\\s]/.test(text)) return undefined
  const url = new URL(text)
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp && url.username === '' && url.password === '' && url.hostname !== '' ? url : undefined
}

/** @throws OptionError that names the first wrong option by its path and never shows its value. */
export function parseClientOptions(options: unknown): ClientSettings {
  const checked = checkOptions(clientSchema, options, ['endpoints', 'dispatcher'])
  const optional = (name: keyof ClientSettings) => own(checked, name)
  return {
    ...checked,
    retry: checked.retry === false ? undefined : checked.retry,
    circuitBreaker: checked.circuitBreaker === false ? undefined : checked.circuitBreaker,
    bulkhead: checked.bulkhead === false ? undefined : checked.bulkhead,
    attemptTimeoutMillis: optional('attemptTimeoutMillis') as ClientSettings['attemptTimeoutMillis'],
    headers: (optional('headers') ?? {}) as HeaderFields,
    onCircuitChange: optional('onCircuitChange') as ClientSettings['onCircuitChange'],
    fetch: optional('fetch') as ClientSettings['fetch'],
    dispatcher: optional('dispatcher') as ClientSettings['dispatcher'],
  }
}

/** What one call may say. */
export interface CallOptions {
  /** Ends the call when it fires: nothing is sent, waited for or counted after that. */
  readonly signal?: AbortSignal
  /** How long the call may take, in milliseconds: 1 to 2147483647. Default: that of the endpoint, or the client. */
  readonly timeoutMillis?: number
  /** Added to those of the endpoint and the client; win over them. */
  readonly headers?: HeaderFields
}

/** The same after validation. */
export type CallSettings = { readonly [Name in keyof CallOptions]: CallOptions[Name] | undefined }

const callSchema = z.strictObject(
  {
    signal: z.instanceof(AbortSignal, { error: 'expected an AbortSignal' }).optional(),
    timeoutMillis: timeoutMillis.optional(),
    headers: headersSchema.optional(),
  },
  'expected an object',
)

/** @throws OptionError as {@link parseClientOptions}. */
export function parseCallOptions(options: unknown): Required<CallSettings> {
  const checked = checkOptions(callSchema, options ?? {}, ['signal'])
  const optional = <Name extends keyof CallSettings>(name: Name) => own(checked, name) as CallSettings[Name]
  return { signal: optional('signal'), timeoutMillis: optional('timeoutMillis'), headers: optional('headers') }
}
