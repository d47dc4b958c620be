/** Defines the endpoints of a service: `get('/profiles/{userId}', { response })`, `post` and the other methods. */

import * as v from 'valibot'
import { OptionError } from '../base/option-checks.ts'
import { ownProperty } from '../base/own-property.ts'
import { checkOptions, object } from '../base/schema.ts'
import type { ServiceError } from './errors.ts'
import type { HeaderFields } from './option-schemas.ts'
import { aFunction, headersSchema, timeoutMillis } from './option-schemas.ts'
import type { PathParameter, PathTemplate, PathValue } from './path.ts'
import { parseTemplate } from './path.ts'
import type { Query } from './query.ts'
import type { Schema, SchemaInput, SchemaOutput } from './schema.ts'
import { isSchema } from './schema.ts'

/** The HTTP method of an endpoint. */
export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

declare const TYPES: unique symbol

/** One endpoint of a service. Created by {@link get} and the other methods, called through a client. */
export interface Endpoint<Input, Result> {
  readonly method: Method
  /** The path template. */
  readonly path: string
  /** Input and result, for the type checker only. */
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

/** The input of an endpoint: the parameters of its path, its `body` and its `query`. */
export type EndpointInput<Path extends string, Body, Parameters> = Simplify<
  PathInput<Path> & BodyInput<Body> & QueryInput<Parameters>
>

/** The result of an endpoint: the output of its `response` validator, or nothing. */
export type EndpointResult<Response> = Response extends Schema ? SchemaOutput<Response> : undefined

/** Options that all endpoints share. */
export interface EndpointOptions<Input, Result, Parameters> {
  /** Validates and transforms the `query`. Default: strings, finite numbers, booleans, and lists of them. */
  readonly query?: Parameters
  /**
   * Header fields; override those of the client. An `authorization` here belongs to the application and is not changed.
   */
  readonly headers?: HeaderFields
  /**
   * Whether the request may be repeated, and so is retried. Default: true unless the method is `post` or `patch` (RFC
   * 9110 §9.2.2).
   */
  readonly idempotent?: boolean
  /** Longest duration of a call in milliseconds: 1 to 2147483647. Default: that of the client. */
  readonly timeoutMillis?: number
  /**
   * Returns a result in place of a failed call, or throws. Runs as the caller of the call. Not called if the call was
   * aborted (`ERR_SERVICE_ABORTED`) or the configuration is wrong (`ERR_SERVICE_DESTINATION`, TypeError).
   */
  readonly fallback?: (error: ServiceError, input: Input) => Result | Promise<Result>
}

/** Options of endpoints that read. */
export interface ReadOptions<Path extends string, Response, Parameters>
  extends EndpointOptions<EndpointInput<Path, undefined, Parameters>, EndpointResult<Response>, Parameters> {
  /**
   * Validates the response, which must be JSON; gets `undefined` if there is no content (204, 205). Default: the
   * response is not read.
   */
  readonly response?: Response
}

/** Options of endpoints that write. */
export interface WriteOptions<Path extends string, Response, Body, Parameters>
  extends EndpointOptions<EndpointInput<Path, Body, Parameters>, EndpointResult<Response>, Parameters> {
  /** Validates the response; see {@link ReadOptions}. */
  readonly response?: Response
  /** Validates the `body` of the input; its output is sent as JSON. Default: no body is sent. */
  readonly body?: Body
}

type OptionalSchema = Schema | undefined

/**
 * Defines a `GET` endpoint. Calls are retried after a transient failure.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong template or option. The other methods throw it too.
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

/**
 * Defines a `HEAD` endpoint. Calls return nothing, or fail with the status; they are retried after a transient failure.
 */
export function head<const Path extends string, Parameters extends OptionalSchema = undefined>(
  path: Path,
  options: EndpointOptions<EndpointInput<Path, undefined, Parameters>, undefined, Parameters> = {},
): Endpoint<EndpointInput<Path, undefined, Parameters>, undefined> {
  return define('HEAD', path, options)
}

/** Defines a `DELETE` endpoint without a body (RFC 9110 §9.3.5). Calls are retried after a transient failure. */
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

/** Defines a `PUT` endpoint. Calls are retried after a transient failure. */
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

/** Defines a `POST` endpoint. Calls are not retried unless `idempotent` is true. */
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

/** Defines a `PATCH` endpoint. Calls are not retried unless `idempotent` is true. */
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

/** A validated endpoint. */
export interface EndpointDefinition {
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

const schema = v.optional(v.custom<Schema>(isSchema, 'expected a Standard Schema validator'))
const shape = {
  query: schema,
  headers: v.optional(headersSchema),
  idempotent: v.optional(v.boolean('expected true or false')),
  timeoutMillis: v.optional(timeoutMillis),
  fallback: v.optional(aFunction<NonNullable<EndpointDefinition['fallback']>>()),
}
const PROBLEM = 'expected an object'
const OPTIONS: Readonly<Record<'head' | 'read' | 'write', v.GenericSchema<unknown, object>>> = {
  head: object(shape, PROBLEM),
  read: object({ ...shape, response: schema }, PROBLEM),
  write: object({ ...shape, response: schema, body: schema }, PROBLEM),
}

const METHODS: Readonly<Record<Method, { readonly takes: keyof typeof OPTIONS; readonly idempotent: boolean }>> = {
  GET: { takes: 'read', idempotent: true },
  HEAD: { takes: 'head', idempotent: true },
  DELETE: { takes: 'read', idempotent: true },
  PUT: { takes: 'write', idempotent: true },
  POST: { takes: 'write', idempotent: false },
  PATCH: { takes: 'write', idempotent: false },
}

/** Definitions by endpoint: an object that only looks like an endpoint was not checked. */
const definitions = new WeakMap<object, EndpointDefinition>()

function define<Input, Result>(method: Method, path: string, options: unknown): Endpoint<Input, Result> {
  const template = parseTemplate(path)
  const checked = checkOptions(OPTIONS[METHODS[method].takes], options, ['query', 'response', 'body'])
  const option = <Name extends keyof EndpointDefinition>(name: Name) =>
    ownProperty(checked as Record<string, unknown>, name) as EndpointDefinition[Name] | undefined
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

/** @throws OptionError if `endpoint` was not created by {@link get} or another method. */
export function definitionOf(endpoint: unknown, name: string): EndpointDefinition {
  const definition = typeof endpoint === 'object' && endpoint !== null ? definitions.get(endpoint) : undefined
  if (definition === undefined)
    throw new OptionError(`endpoints.${name}`, 'expected an endpoint that get, put or another method returned')
  return definition
}
