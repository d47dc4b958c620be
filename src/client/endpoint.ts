/** `get('/profiles/{userId}', { response })` and its siblings: what a service can be asked for. */

import * as z from 'zod'
import { checkOptions, OptionError } from '../token/checked-options.ts'
import { own } from '../token/own.ts'
import type { ServiceError } from './errors.ts'
import type { HeaderFields } from './headers.ts'
import { headersSchema } from './headers.ts'
import type { PathParameter, PathTemplate, PathValue } from './path.ts'
import { parseTemplate } from './path.ts'
import type { Query } from './query.ts'
import type { Schema, SchemaInput, SchemaOutput } from './schema.ts'
import { isSchema } from './schema.ts'
import { timeoutMillis } from './times.ts'

/** A method that an endpoint may have. */
export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

declare const TYPES: unique symbol

/** One thing that a service can be asked for: made by {@link get} and its siblings, called through a client. */
export interface Endpoint<Input, Result> {
  readonly method: Method
  /** The template, as it was given. */
  readonly path: string
  /** What the endpoint takes and gives; there in the types only. */
  readonly [TYPES]?: (input: Input) => Result
}

type Simplify<T> = { [Key in keyof T]: T[Key] }
type Member<Name extends string, Value> =
  Partial<Value> extends Value ? { readonly [Key in Name]?: Value } : { readonly [Key in Name]: Value }

type PathInput<Path extends string> = string extends Path
  ? Readonly<Record<string, PathValue>>
  : { readonly [Name in PathParameter<Path>]: PathValue }
type BodyInput<Body> = Body extends Schema ? Member<'body', SchemaInput<Body>> : unknown
type QueryInput<Parameters> = Parameters extends Schema
  ? Member<'query', SchemaInput<Parameters>>
  : { readonly query?: Query }

/** What an endpoint takes: the parameters of its path, its `body`, and its `query`. */
export type EndpointInput<Path extends string, Body, Parameters> = Simplify<
  PathInput<Path> & BodyInput<Body> & QueryInput<Parameters>
>

/** What an endpoint gives: what its `response` validator makes of the response, or nothing. */
export type EndpointResult<Response> = Response extends Schema ? SchemaOutput<Response> : undefined

/** What all endpoints may have. */
export interface EndpointOptions<Input, Result, Parameters> {
  /** Validates and shapes the `query`. Default: any strings, finite numbers, booleans, and lists of them. */
  readonly query?: Parameters
  /** Added to the client's; win over them. An `authorization` here is the application's own and is left as it is. */
  readonly headers?: HeaderFields
  /**
   * Whether the request may be made twice, so that it is retried. Default: what the method says (RFC 9110 §9.2.2): not
   * `post` and `patch`.
   */
  readonly idempotent?: boolean
  /** How long a call may take, in milliseconds: 1 to 2147483647. Default: that of the client. */
  readonly timeoutMillis?: number
  /**
   * Answers in place of a call that failed; may throw, its argument for instance. Runs as the caller of the call. Not asked
   * where the caller has gone (`ERR_SERVICE_ABORTED`) and where the set-up is wrong (`ERR_SERVICE_DESTINATION`, TypeError).
   */
  readonly fallback?: (error: ServiceError, input: Input) => Result | Promise<Result>
}

/** What endpoints that read may have. */
export interface ReadOptions<Path extends string, Response, Parameters>
  extends EndpointOptions<EndpointInput<Path, undefined, Parameters>, EndpointResult<Response>, Parameters> {
  /**
   * Validates the response, which must be JSON; gets `undefined` where there is no content (204, 205). Default: the
   * response is not looked at.
   */
  readonly response?: Response
}

/** What endpoints that write may have. */
export interface WriteOptions<Path extends string, Response, Body, Parameters>
  extends EndpointOptions<EndpointInput<Path, Body, Parameters>, EndpointResult<Response>, Parameters> {
  /** Validates the response; see {@link ReadOptions}. */
  readonly response?: Response
  /** Validates the `body` of the input; what it makes of it is sent as JSON. Default: none is sent. */
  readonly body?: Body
}

type OptionalSchema = Schema | undefined

/**
 * `GET`, retried where a failure passes.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong template or option, as all of its siblings.
 */
export function get<
  const Path extends string,
  Response extends OptionalSchema = undefined,
  Parameters extends OptionalSchema = undefined,
>(
  path: Path,
  options: ReadOptions<Path, Response, Parameters> = {},
): Endpoint<EndpointInput<Path, undefined, Parameters>, EndpointResult<Response>> {
  return define('GET', path, options)
}

/** `HEAD`: is it there? Gives nothing, or an error with the status. Retried where a failure passes. */
export function head<const Path extends string, Parameters extends OptionalSchema = undefined>(
  path: Path,
  options: EndpointOptions<EndpointInput<Path, undefined, Parameters>, undefined, Parameters> = {},
): Endpoint<EndpointInput<Path, undefined, Parameters>, undefined> {
  return define('HEAD', path, options)
}

/** `DELETE`, without a body (RFC 9110 §9.3.5). Retried where a failure passes. */
export function del<
  const Path extends string,
  Response extends OptionalSchema = undefined,
  Parameters extends OptionalSchema = undefined,
>(
  path: Path,
  options: ReadOptions<Path, Response, Parameters> = {},
): Endpoint<EndpointInput<Path, undefined, Parameters>, EndpointResult<Response>> {
  return define('DELETE', path, options)
}

/** `PUT`, retried where a failure passes. */
export function put<
  const Path extends string,
  Response extends OptionalSchema = undefined,
  Body extends OptionalSchema = undefined,
  Parameters extends OptionalSchema = undefined,
>(
  path: Path,
  options: WriteOptions<Path, Response, Body, Parameters> = {},
): Endpoint<EndpointInput<Path, Body, Parameters>, EndpointResult<Response>> {
  return define('PUT', path, options)
}

/** `POST`, made once unless `idempotent: true`. */
export function post<
  const Path extends string,
  Response extends OptionalSchema = undefined,
  Body extends OptionalSchema = undefined,
  Parameters extends OptionalSchema = undefined,
>(
  path: Path,
  options: WriteOptions<Path, Response, Body, Parameters> = {},
): Endpoint<EndpointInput<Path, Body, Parameters>, EndpointResult<Response>> {
  return define('POST', path, options)
}

/** `PATCH`, made once unless `idempotent: true`. */
export function patch<
  const Path extends string,
  Response extends OptionalSchema = undefined,
  Body extends OptionalSchema = undefined,
  Parameters extends OptionalSchema = undefined,
>(
  path: Path,
  options: WriteOptions<Path, Response, Body, Parameters> = {},
): Endpoint<EndpointInput<Path, Body, Parameters>, EndpointResult<Response>> {
  return define('PATCH', path, options)
}

/** An endpoint as it is called, after validation. */
export interface Definition {
  readonly method: Method
  readonly template: PathTemplate
  readonly response: Schema | undefined
  readonly body: Schema | undefined
  readonly query: Schema | undefined
  readonly headers: HeaderFields
  readonly idempotent: boolean
  readonly timeoutMillis: number | undefined
  readonly fallback: ((error: ServiceError, input: unknown) => unknown) | undefined
}

const schema = z.custom<Schema>(isSchema, 'expected a Standard Schema validator').optional()
const shape = {
  query: schema,
  headers: headersSchema.optional(),
  idempotent: z.boolean('expected true or false').optional(),
  timeoutMillis: timeoutMillis.optional(),
  fallback: z
    .custom<NonNullable<Definition['fallback']>>((value) => typeof value === 'function', 'expected a function')
    .optional(),
}
const PROBLEM = 'expected an object'
const OPTIONS: Readonly<Record<'head' | 'read' | 'write', z.ZodType<object>>> = {
  head: z.strictObject(shape, PROBLEM),
  read: z.strictObject({ ...shape, response: schema }, PROBLEM),
  write: z.strictObject({ ...shape, response: schema, body: schema }, PROBLEM),
}

const METHODS: Readonly<Record<Method, { readonly takes: keyof typeof OPTIONS; readonly idempotent: boolean }>> = {
  GET: { takes: 'read', idempotent: true },
  HEAD: { takes: 'head', idempotent: true },
  DELETE: { takes: 'read', idempotent: true },
  PUT: { takes: 'write', idempotent: true },
  POST: { takes: 'write', idempotent: false },
  PATCH: { takes: 'write', idempotent: false },
}

/** Known by identity: what looks like an endpoint has not been checked. */
const definitions = new WeakMap<object, Definition>()

function define<Input, Result>(method: Method, path: string, options: unknown): Endpoint<Input, Result> {
  const template = parseTemplate(path)
  const checked = checkOptions(OPTIONS[METHODS[method].takes], options, ['query', 'response', 'body'])
  const option = <Name extends keyof Definition>(name: Name) =>
    own(checked as Record<string, unknown>, name) as Definition[Name] | undefined
  const endpoint: Endpoint<Input, Result> = Object.freeze({ method, path })
  definitions.set(endpoint, {
    method,
    template,
    response: option('response'),
    body: option('body'),
    query: option('query'),
    headers: option('headers') ?? {},
    idempotent: option('idempotent') ?? METHODS[method].idempotent,
    timeoutMillis: option('timeoutMillis'),
    fallback: option('fallback'),
  })
  return endpoint
}

/** @throws OptionError where `endpoint` was not made by {@link get} or a sibling. */
export function definitionOf(endpoint: unknown, name: string): Definition {
  const definition = typeof endpoint === 'object' && endpoint !== null ? definitions.get(endpoint) : undefined
  if (definition === undefined)
    throw new OptionError(`endpoints.${name}`, 'expected what get, put or a sibling returns')
  return definition
}
