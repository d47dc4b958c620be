/** Builds the query of a URL from the members of an object. */

import { OptionError } from '../base/option-checks.ts'

/** A single value of a query parameter. */
export type QueryValue = string | number | boolean

/** Query parameters: a list repeats the parameter, `undefined` omits it. */
export type Query = Readonly<Record<string, QueryValue | readonly QueryValue[] | undefined>>

const PROBLEM = 'expected strings, finite numbers and booleans, or lists of them'

/**
 * Returns `?name=value&…`, or an empty string.
 *
 * @throws OptionError for a value without a single spelling in a URL.
 */
export function buildQuery(query: unknown): string {
  if (query === undefined) return ''
  if (typeof query !== 'object' || query === null || Array.isArray(query)) throw new OptionError('query', PROBLEM)
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of stringsOf(value)) search.append(name, one)
  }
  return search.size === 0 ? '' : `?${search}`
}

function stringsOf(value: unknown): readonly string[] {
  if (value === undefined) return []
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (!values.every(isQueryValue)) throw new OptionError('query', PROBLEM)
  return values.map(String)
}

function isQueryValue(value: unknown): value is QueryValue {
  return (
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  )
}
