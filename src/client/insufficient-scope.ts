/** Reads the required scopes from the challenge of a 403 (RFC 6750 §3, RFC 9110 §11.6.1). */

import { SCOPE_TOKEN } from '../token/scopes.ts'

const MAX_LENGTH = 4096
const MAX_SCOPES = 32
const MAX_SCOPE_LENGTH = 128

// One step through a list of challenges: a parameter, or the scheme that starts the next challenge.
const STEP =
  /[\s,]*(?:([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([!#$%&'*+.^_`|~\w-]+)(?=\s|,|$))/y

/** Returns the scopes that a `Bearer` challenge requires; `undefined` if no challenge says `insufficient_scope`. */
export function requiredScopesOf(challenges: string | null): readonly string[] | undefined {
  if (challenges === null || challenges.length > MAX_LENGTH) return undefined
  const parameters = parseBearerChallenges(challenges).find((found) => found.get('error') === 'insufficient_scope')
  if (parameters === undefined) return undefined
  const scopes = (parameters.get('scope') ?? '').split(' ')
  // Scopes end up in logs: the bounds and the syntax keep a hostile server from writing anything else there.
  return scopes.filter((scope) => scope.length <= MAX_SCOPE_LENGTH && SCOPE_TOKEN.test(scope)).slice(0, MAX_SCOPES)
}

function parseBearerChallenges(text: string): readonly ReadonlyMap<string, string>[] {
  const found: Map<string, string>[] = []
  let current: Map<string, string> | undefined
  STEP.lastIndex = 0
  for (let step = STEP.exec(text); step !== null; step = STEP.exec(text)) {
    const [, name, quoted, token, scheme] = step
    if (scheme !== undefined) {
      current = scheme.toLowerCase() === 'bearer' ? new Map() : undefined
      if (current !== undefined) found.push(current)
    } else if (name !== undefined) {
      current?.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token ?? '')
    }
  }
  return found
}
