/** Reads from a 403 which scopes another token would need (RFC 6750 §3, RFC 9110 §11.6.1). */

const MAX_LENGTH = 4096
const MAX_SCOPES = 32
const MAX_SCOPE_LENGTH = 128

// RFC 6749 §3.3. What a server says ends up in logs: nothing else is taken from it.
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/
// One step of a list of challenges: a parameter, or the scheme that begins the next challenge.
const STEP =
  /[\s,]*(?:([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([!#$%&'*+.^_`|~\w-]+)(?=\s|,|$))/y

/** The scopes that a `Bearer` challenge asks for; `undefined` where none says `insufficient_scope`. */
export function requiredScopesOf(challenges: string | null): readonly string[] | undefined {
  if (challenges === null || challenges.length > MAX_LENGTH) return undefined
  const parameters = bearerChallenges(challenges).find((found) => found.get('error') === 'insufficient_scope')
  if (parameters === undefined) return undefined
  const scopes = (parameters.get('scope') ?? '').split(' ')
  return scopes.filter((scope) => scope.length <= MAX_SCOPE_LENGTH && SCOPE.test(scope)).slice(0, MAX_SCOPES)
}

function bearerChallenges(text: string): readonly ReadonlyMap<string, string>[] {
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
