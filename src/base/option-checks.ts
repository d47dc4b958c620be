/** Mistakes in options, and what of an object is taken for options. */

/** A configuration mistake: names the path of the option, never its value. */
export class OptionError extends TypeError {
  override readonly name = 'TypeError'
  readonly code = 'ERR_RELAY_OPTION'
  /** The path of the wrong option, such as `issuers[0].audience`. */
  readonly path: string
  /** What is wrong with it. */
  readonly problem: string

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`)
    this.path = path
    this.problem = problem
  }
}

/** Deeper than any option. Options that contain themselves have no end. */
const MAX_DEPTH = 8

/**
 * Copies own members only, so that a polluted `Object.prototype` cannot add an option (CWE-1321). The value of a member
 * that `opaque` names is not copied.
 */
export function ownMembers(value: unknown, opaque: readonly string[], depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new OptionError('options', 'nested too deeply')
  if (Array.isArray(value)) return value.map((member) => ownMembers(member, opaque, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) copy[key] = opaque.includes(key) ? member : ownMembers(member, opaque, depth + 1)
  }
  return copy
}
