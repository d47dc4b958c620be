/** What valibot lacks for options: groups whose members are all their own, and errors that name a path and no value. */

import * as v from 'valibot'
import { OptionError, ownMembers } from './option-checks.ts'
import { isObject } from './own-property.ts'

/** Names and indexes, from the outermost option inwards. */
type OptionPath = readonly (string | number)[]

/** Reports a problem of a member; `path` starts at the checked value. Only the first problem ends up in the error. */
export type Refuse = (path: OptionPath, problem: string) => void

/**
 * Checks `options` against `schema`, own members only. Members that `opaque` names hold objects with behaviour, such as
 * clients, which are passed on as they are.
 *
 * @throws OptionError that names the first wrong option by its path and never shows its value.
 */
export function checkOptions<T>(
  schema: v.GenericSchema<unknown, T>,
  options: unknown,
  opaque: readonly string[] = [],
): T {
  const { success, output, issues } = v.safeParse(schema, ownMembers(options, opaque), { abortEarly: true })
  if (success) return output
  const [path, problem] = mistakeOf(issues[0])
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')
  throw new OptionError(text === '' ? 'options' : text.replace(/^\./, ''), problem)
}

/** Of a union, the mistake inside the option that was meant, if one of them got further than the type. */
function mistakeOf(issue: v.BaseIssue<unknown>): readonly [path: OptionPath, problem: string] {
  // A key is free text, which may hold a secret: only names are repeated.
  const path = (issue.path ?? []).map(({ key }) =>
    typeof key === 'number' || (typeof key === 'string' && /^[\w.-]{1,64}$/.test(key)) ? key : '?',
  )
  const inner = issue.issues?.find((each) => each.path !== undefined)
  if (inner === undefined) return [path, issue.message]
  const [below, problem] = mistakeOf(inner)
  return [[...path, ...below], problem]
}

type Complete<E extends v.ObjectEntries> = { readonly [K in keyof E]: v.InferOutput<E[K]> }

/**
 * An object with these members and no others. In what comes out every member is an own property, `undefined` if it was
 * left out, so that nothing is read from a polluted `Object.prototype` (CWE-1321).
 */
export function object<const E extends v.ObjectEntries>(entries: E, problem: string) {
  const own = <O extends object>(...parts: readonly O[]): O => Object.assign(Object.create(null), ...parts) as O
  const schema = v.strictObject(own(entries), ({ expected }) => (expected === 'never' ? 'is not an option' : problem))
  const absent = Object.fromEntries(Object.keys(entries).map((name) => [name, undefined]))
  const complete = (value: unknown): unknown =>
    isObject(value) && !Array.isArray(value) ? own(absent, value) : undefined
  const run: (typeof schema)['~run'] = ({ value }, config) => schema['~run']({ value: complete(value) }, config)
  return { ...schema, '~run': run } as unknown as v.GenericSchema<unknown, Complete<E>> & { readonly entries: E }
}

/** A whole number from `minimum` to `maximum`. */
export const integer = (problem: string, minimum: number, maximum = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(problem), v.safeInteger(problem), v.minValue(minimum, problem), v.maxValue(maximum, problem))

/** Checks what members of a value demand of each other. */
export function check<T>(test: (value: T, refuse: Refuse) => void) {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    if (dataset.typed) test(dataset.value, (path, problem) => addIssue(issueAt(path, problem)))
  })
}

/** Makes something else of a value. After it has refused, `change` returns `NEVER`, or anything. */
export function transform<T, U>(change: (value: T, refuse: Refuse, NEVER: never) => U) {
  return v.rawTransform<T, U>(({ dataset, addIssue, NEVER }) =>
    change(dataset.value, (path, problem) => addIssue(issueAt(path, problem)), NEVER),
  )
}

function issueAt(keys: OptionPath, message: string) {
  const path = keys.map((key) => ({ type: 'unknown', origin: 'value', input: undefined, key, value: undefined }))
  return { message, path: path as [v.UnknownPathItem] }
}
