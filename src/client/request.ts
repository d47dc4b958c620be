/** Makes the request of a call from its input: what is wrong with it is known before anything is sent. */

import { OptionError } from '../base/option-checks.ts'
import type { EndpointDefinition } from './endpoint.ts'
import type { HeaderFields } from './option-schemas.ts'
import { buildQuery } from './query.ts'
import type { Schema } from './schema.ts'
import { validate } from './schema.ts'

/** A request that can be sent several times, because its body is a string. */
export interface ServiceRequest {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string | undefined
}

/** @throws OptionError if `input` does not match the endpoint. */
export async function buildRequest(
  definition: EndpointDefinition,
  baseUrl: URL,
  input: unknown,
  headers: readonly HeaderFields[],
): Promise<ServiceRequest> {
  const members = membersOf(input, definition)
  const path = definition.template.fill((name) => members.get(name))
  const query = await transform(definition.query, members.get('query'), 'query')
  const body = await bodyOf(definition.body, members.get('body'))
  return {
    url: urlOf(baseUrl, path, buildQuery(query)),
    method: definition.method,
    headers: headersOf(definition, body, headers),
    body,
  }
}

/** Reads own members only: a polluted `Object.prototype` must not fill a parameter (CWE-1321). */
function membersOf(input: unknown, { template, body }: EndpointDefinition): ReadonlyMap<string, unknown> {
  if (input === undefined) return new Map()
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new OptionError('input', 'expected an object')
  }
  const known = [...template.names, 'query', ...(body === undefined ? [] : ['body'])]
  const members = new Map(Object.entries(input))
  for (const name of members.keys()) {
    // A name may be any text, so only a plain name is quoted.
    const shown = /^\w{1,64}$/.test(name) ? name : '?'
    if (!known.includes(name)) throw new OptionError(`input.${shown}`, 'is not a parameter of the endpoint')
  }
  return members
}

async function transform(schema: Schema | undefined, value: unknown, name: string): Promise<unknown> {
  if (schema === undefined) return value
  const result = await validate(schema, value)
  if (result === undefined) throw new OptionError(name, 'does not match its schema')
  return result.value
}

async function bodyOf(schema: Schema | undefined, value: unknown): Promise<string | undefined> {
  if (schema === undefined) return undefined
  const text = stringify(await transform(schema, value, 'body'))
  if (text === undefined) throw new OptionError('body', 'expected a JSON value')
  return text
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function headersOf(
  { response, headers }: EndpointDefinition,
  body: unknown,
  [base, call]: readonly HeaderFields[],
): Headers {
  return new Headers({
    ...lowerCaseNames(response === undefined ? {} : { accept: 'application/json' }),
    ...lowerCaseNames(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...lowerCaseNames(base),
    ...lowerCaseNames(headers),
    ...lowerCaseNames(call),
  })
}

/** Gives each name one spelling, so that the last value replaces the first one. */
function lowerCaseNames(headers: HeaderFields = {}): HeaderFields {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Refuses a URL that the parser would change: it could name another resource. */
function urlOf({ origin, pathname }: URL, path: string, search: string): string {
  const full = `${pathname.replace(/\/$/, '')}${path}`
  const url = new URL(`${origin}${full}${search}`)
  if (url.origin !== origin || url.pathname !== full) throw new OptionError('path', 'resolves to another URL')
  return url.href
}
