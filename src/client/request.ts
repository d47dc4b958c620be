/** Makes the request of a call from its input: what is wrong with it is known before anything is sent. */

import { OptionError } from '../token/checked-options.ts'
import type { Definition } from './endpoint.ts'
import type { HeaderFields } from './headers.ts'
import { searchOf } from './query.ts'
import type { Schema } from './schema.ts'
import { validate } from './schema.ts'

/** A request that can be made as often as it takes: its body is a text. */
export interface ServiceRequest {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string | undefined
}

/** @throws OptionError where `input` is not what the endpoint takes. */
export async function requestOf(
  definition: Definition,
  baseUrl: URL,
  input: unknown,
  headers: readonly HeaderFields[],
): Promise<ServiceRequest> {
  const members = membersOf(input, definition)
  const path = definition.template.fill((name) => members.get(name))
  const query = await shaped(definition.query, members.get('query'), 'query')
  const body = await bodyOf(definition.body, members.get('body'))
  return {
    url: urlOf(baseUrl, path, searchOf(query)),
    method: definition.method,
    headers: headersOf(definition, body, headers),
    body,
  }
}

/** Own members only: a polluted `Object.prototype` must not fill a parameter (CWE-1321). */
function membersOf(input: unknown, { template, body }: Definition): ReadonlyMap<string, unknown> {
  if (input === undefined) return new Map()
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new OptionError('input', 'expected an object')
  }
  const known = [...template.names, 'query', ...(body === undefined ? [] : ['body'])]
  const members = new Map(Object.entries(input))
  for (const name of members.keys()) {
    // A name is free text: what is no name is not repeated.
    const shown = /^\w{1,64}$/.test(name) ? name : '?'
    if (!known.includes(name)) throw new OptionError(`input.${shown}`, 'is not a parameter of the endpoint')
  }
  return members
}

async function shaped(schema: Schema | undefined, value: unknown, name: string): Promise<unknown> {
  if (schema === undefined) return value
  const result = await validate(schema, value)
  if (result === undefined) throw new OptionError(name, 'is not what its schema describes')
  return result.value
}

async function bodyOf(schema: Schema | undefined, value: unknown): Promise<string | undefined> {
  if (schema === undefined) return undefined
  const text = stringify(await shaped(schema, value, 'body'))
  if (text === undefined) throw new OptionError('body', 'expected what JSON can hold')
  return text
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function headersOf({ response, headers }: Definition, body: unknown, [base, call]: readonly HeaderFields[]): Headers {
  return new Headers({
    ...lowerCase(response === undefined ? {} : { accept: 'application/json' }),
    ...lowerCase(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...lowerCase(base),
    ...lowerCase(headers),
    ...lowerCase(call),
  })
}

/** One spelling for each name, so that the last value wins and does not join the first. */
function lowerCase(headers: HeaderFields = {}): HeaderFields {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** The URL parser must find nothing to change: what it would change, it would understand as something else. */
function urlOf({ origin, pathname }: URL, path: string, search: string): string {
  const full = `${pathname.replace(/\/$/, '')}${path}`
  const url = new URL(`${origin}${full}${search}`)
  if (url.origin !== origin || url.pathname !== full) throw new OptionError('path', 'would lead elsewhere')
  return url.href
}
