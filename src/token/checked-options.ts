/** Checks options of any kind against a schema: own members only, and one sentence for each mistake. */

import type * as z from 'zod'

/** A configuration mistake: names the path of the option, never its value. */
export class OptionError extends TypeError {
  override readonly name = 'TypeError'
  readonly code = 'ERR_RELAY_OPTION'
  /** Where the mistake is, such as `issuers[0].audience`. */
  readonly path: string
  /** What is wrong there. */
  readonly problem: string

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`)
    this.path = path
    this.problem = problem
  }
}

/**
 * Checks `options` against `schema`, own members only. Members called as in `opaque` are objects with a life of their
 * own, which are not looked into.
 *
 * @throws OptionError that names the first wrong option by its path and never shows its value.
 */
export function checkOptions<T extends z.ZodType>(
  schema: T,
  options: unknown,
  opaque: readonly string[] = [],
): z.output<T> {
  const result = schema.safeParse(ownMembers(options, opaque))
  if (!result.success) throw toOptionError(result.error)
  return result.data
}

/** Deeper than any option; options that contain themselves are deeper still. */
const MAX_DEPTH = 8

/** Copies own members only, so that a polluted `Object.prototype` cannot add an option (CWE-1321). */
function ownMembers(value: unknown, opaque: readonly string[], depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new OptionError('options', 'nested too deeply')
  if (Array.isArray(value)) return value.map((member) => ownMembers(member, opaque, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) copy[key] = opaque.includes(key) ? member : ownMembers(member, opaque, depth + 1)
  }
  return copy
}

function toOptionError({ issues }: z.ZodError): OptionError {
  const issue = issues[0]
  if (issue === undefined) return new OptionError('options', 'not valid')
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    // A key is free text: what is no name is not repeated.
    return new OptionError(pathOf([...issue.path, /^[\w.-]{1,64}$/.test(key) ? key : '?']), 'is not an option')
  }
  return new OptionError(pathOf(issue.path), issue.message)
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  return text === '' ? 'options' : text.replace(/^\./, '')
}
