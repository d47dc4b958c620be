/** What a route requires of the scopes or roles of a token, and what a token lacks of it. */

import { isObject, ownProperty } from '../base/own-property.ts'
import { quote } from './refusal-detail.ts'

/** Several names of which one is enough. */
export interface AnyOf {
  readonly anyOf: readonly string[]
}

/** A name that a token must have, or several of which it must have one. */
export type NameOrAnyOf = string | AnyOf

/** Returns those of `required` that are not met by the names that are `present`; an unknown form never is. */
export function unmetOf(present: readonly string[], required: readonly NameOrAnyOf[]): readonly NameOrAnyOf[] {
  return required.filter((each) =>
    typeof each === 'string' ? !present.includes(each) : !alternativesOf(each).some((name) => present.includes(name)),
  )
}

/** All names of `required`, each once: a token that has them all meets it. */
export function namesOf(required: readonly NameOrAnyOf[]): readonly string[] {
  return [...new Set(required.flatMap((each) => (typeof each === 'string' ? [each] : alternativesOf(each))))]
}

/** For the operator: names in quotes. */
export function quoteRequired(required: readonly NameOrAnyOf[]): string {
  return required
    .map((each) => (typeof each === 'string' ? quote([each]) : `one of ${quote(alternativesOf(each))}`))
    .join(', ')
}

/**
 * Returns a copy of `required` that no other code can change; `undefined` if it is empty, or something in it is not a
 * name or a list of alternatives. A misspelt member is refused: it must not open a route.
 */
export function copyRequired(required: unknown, isName: (name: unknown) => boolean): NameOrAnyOf[] | undefined {
  if (!Array.isArray(required) || required.length === 0) return undefined
  const copies = (required as unknown[]).map((each) => (isName(each) ? (each as string) : copyAnyOf(each, isName)))
  return copies.includes(undefined) ? undefined : (copies as NameOrAnyOf[])
}

function copyAnyOf(value: unknown, isName: (name: unknown) => boolean): AnyOf | undefined {
  if (!isObject(value) || Object.keys(value).join() !== 'anyOf') return undefined
  const anyOf = alternativesOf(value)
  return anyOf.length > 0 && anyOf.every(isName) ? { anyOf: [...anyOf] } : undefined
}

function alternativesOf(value: object): readonly string[] {
  const anyOf = ownProperty(value as Record<string, unknown>, 'anyOf')
  return Array.isArray(anyOf) ? (anyOf as string[]) : []
}
