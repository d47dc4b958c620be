/** Assertions about what a test destination has received, for any test runner. */

import { inspect } from 'node:util'
import type { TestDestination } from './destination/destination.ts'
import { describeReceived, describeToken } from './destination/received.ts'
import { createFailure } from './failure.ts'
import type { FoundToken } from './found-tokens.ts'
import { findTokens } from './found-tokens.ts'

/** The token that a destination has to have received. */
export interface ExpectedToken {
  /** `sub` of the token. */
  readonly subject: string
  /** Scopes that it has to have, and no others. Default: any. */
  readonly scopes?: readonly string[]
  /** An audience that it has to have. Default: any. */
  readonly audience?: string
}

/**
 * Passes if `destination` has received at least one token, and each that it has received is as expected.
 *
 * @throws AssertionError that says what was received. It does not hold the token.
 */
export function expectTokenAt(destination: TestDestination, expected: ExpectedToken): void {
  const problem = problemAt(destination, expected)
  if (problem !== undefined) throw createFailure(problem, expectTokenAt)
}

/**
 * Passes if `destination` has received no token: in no field, not in a path and not in a body, in base64 neither. That
 * no request came at all is fine, too. A token in what is no whole request counts, other than over HTTP/2.
 *
 * @throws AssertionError that says what was received. It does not hold the token.
 */
export function expectNoToken(destination: TestDestination): void {
  const problem = excessAt(destination)
  if (problem !== undefined) throw createFailure(problem, expectNoToken)
}

/** What a matcher of `expect.extend` returns. */
export interface MatcherResult {
  readonly pass: boolean
  readonly message: () => string
}

/**
 * The same for `expect.extend` of Vitest and Jest: `expect(destination).toHaveToken({ subject: 'alice' })` and
 * `expect(destination).toHaveNoToken()`.
 */
export const tokenMatchers = {
  toHaveToken: (destination: TestDestination, expected: ExpectedToken): MatcherResult =>
    resultOf(problemAt(destination, expected), destination),
  toHaveNoToken: (destination: TestDestination): MatcherResult => resultOf(excessAt(destination), destination),
}

function resultOf(problem: string | undefined, destination: TestDestination): MatcherResult {
  return {
    pass: problem === undefined,
    message: () => problem ?? `expected otherwise of ${nameOf(destination)}${listReceived(destination)}`,
  }
}

function problemAt(destination: TestDestination, expected: ExpectedToken): string | undefined {
  if (typeof expected?.subject !== 'string') throw new TypeError('subject: expected a text')
  const tokens = destination.received.flatMap((received) => received.tokens)
  const isFine = tokens.length > 0 && tokens.every((token) => isExpected(token, expected))
  if (isFine) return undefined
  const what = [
    `of ${inspect(expected.subject)}`,
    ...(expected.scopes === undefined ? [] : [`with the scopes ${expected.scopes.join(' ') || '(none)'}`]),
    ...(expected.audience === undefined ? [] : [`for ${expected.audience}`]),
  ]
  return `expected a token ${what.join(' ')} at ${nameOf(destination)}${listReceived(destination)}`
}

function isExpected({ subject, scopes, audience }: FoundToken, expected: ExpectedToken): boolean {
  const hasScopes =
    expected.scopes === undefined ||
    [...new Set(scopes)].sort().join(' ') === [...new Set(expected.scopes)].sort().join(' ')
  const isForIt = expected.audience === undefined || audience.includes(expected.audience)
  return subject === expected.subject && hasScopes && isForIt
}

function excessAt(destination: TestDestination): string | undefined {
  const isClean = destination.received.every(({ tokens }) => tokens.length === 0)
  if (!isClean) return `expected no token at ${nameOf(destination)}${listReceived(destination)}`
  const stray = tokenInBytes(destination)
  if (stray === undefined) return undefined
  return `expected no token at ${nameOf(destination)}, which has received ${describeToken(stray)}, in no whole request`
}

/** Finds a token that came without a whole request: before its end, or in another protocol. */
function tokenInBytes(destination: TestDestination): FoundToken | undefined {
  if (destination.protocol === 'queue') return undefined
  const lines = destination.bytes().toString('latin1').split('\r\n')
  for (const line of lines) {
    const [, field = 'body', value = line] = /^([\w-]+) *: *(.*)$/.exec(line) ?? []
    const [token] = findTokens(field.toLowerCase(), value).tokens
    if (token !== undefined) return token
  }
  return undefined
}

function nameOf(destination: TestDestination): string {
  return destination.protocol === 'queue' ? destination.name : destination.origin
}

const MAX_LISTED = 10

function listReceived({ received }: TestDestination): string {
  if (received.length === 0) return ', which has received nothing'
  const lines = received.slice(0, MAX_LISTED).map((each) => `\n  ${describeReceived(each)}`)
  const more = received.length > MAX_LISTED ? `\n  and ${received.length - MAX_LISTED} more` : ''
  return `, which has received:${lines.join('')}${more}`
}
