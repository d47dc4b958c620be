/** The small schemas that the options are built from. */

import * as v from 'valibot'
import { isObject } from '../base/own-property.ts'
import type { Refuse } from '../base/schema.ts'
import { integer, object } from '../base/schema.ts'
import { parseSecureUrl } from '../base/urls.ts'
import { SCOPE_TOKEN } from '../token/scopes.ts'

/** The environment variable of an option, and how its text is read. */
export interface Variable {
  readonly name: `TOKEN_RELAY_${string}`
  /**
   * `list`: items separated by commas. `list or null`: the same, or the one word `null`. `destinations`: a list whose
   * items are each the `to` of a destination.
   */
  readonly holds: 'text' | 'list' | 'list or null' | 'number' | 'boolean' | 'destinations'
}

/** Gives an option its environment variable. */
export const variable = <T>(name: Variable['name'], holds: Variable['holds']) =>
  v.metadata<T, { readonly variable: Variable }>({ variable: { name, holds } })

/** An object whose members are options. */
export function group<const E extends v.ObjectEntries>(entries: E, problem = 'expected an object') {
  return { ...object(entries, problem), members: entries }
}

export const text = (problem: string) => v.pipe(v.string(problem), v.minLength(1, problem))
export const list = <S extends v.GenericSchema>(item: S, problem: string) =>
  v.pipe(v.array(item, problem), v.minLength(1, problem))

/** One of `values`; the problem names them all. */
export function oneOf<const T extends readonly [string, string, ...string[]]>(...values: T) {
  return v.picklist(values, `expected ${values.slice(0, -1).join(', ')} or ${values.at(-1)}`)
}
export const aBoolean = () => v.boolean('expected true or false')

/** A whole number from `minimum` to `maximum`; `unit` names what is counted. */
export function whole(minimum: number, maximum: number, unit: string) {
  return integer(`expected ${minimum} to ${maximum}${unit === '' ? '' : ` ${unit}`}`, minimum, maximum)
}
export const millis = (minimum: number) => integer(`expected whole milliseconds, at least ${minimum}`, minimum)
/** Seconds, or parts of one. */
export function seconds(minimum: number) {
  const problem = `expected seconds, at least ${minimum}`
  return v.pipe(v.number(problem), v.finite(problem), v.minValue(minimum, problem))
}
export function positiveSeconds() {
  const problem = 'expected seconds, more than 0'
  return v.pipe(v.number(problem), v.finite(problem), v.gtValue(0, problem))
}

const SECURE_URL = 'expected an https URL, or http on the loopback interface'
export const secureUrl = (problem = SECURE_URL) =>
  v.pipe(
    text(problem),
    v.check((url) => parseSecureUrl(url) !== undefined, problem),
  )
/** A URL of an issuer: whether clear text is allowed is said by the issuer, and checked with it. */
export const issuerUrl = (problem = SECURE_URL) =>
  v.pipe(
    text(problem),
    v.check((url) => parseSecureUrl(url, true) !== undefined, problem),
  )
export const aFile = () => text('expected the path of a file')
export const aFunction = <T extends (...args: never[]) => unknown>() =>
  v.custom<T>((value) => typeof value === 'function', 'expected a function')

/** An object that has all of `methods`; what they do is not checked. */
export const withMethods = <T extends object>(problem: string, ...methods: readonly (keyof T & string)[]) =>
  v.custom<T>(
    (value) => isObject(value) && methods.every((name) => typeof Reflect.get(value, name) === 'function'),
    problem,
  )

/** If it is absent the list is empty, even if one that is given must not be. */
const orEmpty = <T>(schema: v.GenericSchema<unknown, T[]>) =>
  v.pipe(
    v.optional(schema),
    v.metadata({ default: [] }),
    v.transform((items) => items ?? []),
  )

const NAMES = 'expected a name or a list of names'
/** The options of a union for a name or several, each as `name` has it; a list in the output. */
export const oneOrMore = (problem: string, name: v.GenericSchema<string> = text(problem)) =>
  [
    v.pipe(
      name,
      v.transform((one) => [one]),
    ),
    list(name, problem),
  ] as const
export const names = () => orEmpty(v.union(oneOrMore(NAMES), NAMES))

const SCOPE_LIST = 'expected a list of scopes'
const SCOPES = 'expected scopes, as a list or separated by spaces'

const scopeToken = (problem: string) => v.pipe(text(problem), v.regex(SCOPE_TOKEN, problem))
export const scopeList = () => v.array(scopeToken(SCOPE_LIST), SCOPE_LIST)

/** Scopes as a list, or in one text with spaces between them; a list in the output. */
export function scopes() {
  const separated = v.pipe(
    text(SCOPES),
    v.transform((value) => value.split(' ').filter((name) => name !== '')),
    v.array(scopeToken(SCOPES), SCOPES),
  )
  return orEmpty(v.union([separated, list(scopeToken(SCOPES), SCOPES)], SCOPES))
}

/** Refuses every item of a list whose name an earlier item has. `key` is the member that holds the name. */
export function refuseRepeats(items: readonly string[], key: string, refuse: Refuse): void {
  items.forEach((name, index) => {
    if (items.indexOf(name) !== index) refuse([index, key], 'appears twice')
  })
}
