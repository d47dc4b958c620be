/** Path templates such as `/profiles/{userId}`: a parameter fills one segment and cannot add others. */

import { OptionError } from '../base/option-checks.ts'

/** The value of a path parameter. */
export type PathValue = string | number

/** The parameter names of a template. */
export type PathParameter<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | PathParameter<Rest>
  : never

export interface PathTemplate {
  readonly names: readonly string[]
  /** @throws OptionError for a value that a path must not have. */
  fill(values: (name: string) => unknown): string
}

const TEMPLATE = /^(?:\/(?:[\w.~!$&'()*+,;=:@-]|%[\da-f]{2}|\{[A-Za-z_]\w*\})*)+$/i
const PARAMETER = /\{(\w+)\}/g
/** Input members with another meaning. */
const TAKEN: readonly string[] = ['body', 'query']
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i

/** @throws OptionError if `path` is not a template. */
export function parseTemplate(path: unknown): PathTemplate {
  if (typeof path !== 'string' || !TEMPLATE.test(path) || path.includes('//')) {
    throw new OptionError('path', 'expected a path such as /profiles/{userId}, without query or fragment')
  }
  const names = [...path.matchAll(PARAMETER)].map(([, name = '']) => name)
  if (DOT_SEGMENT.test(path)) throw new OptionError('path', 'must not have a segment . or ..')
  if (names.some((name, i) => TAKEN.includes(name) || names.indexOf(name) !== i)) {
    throw new OptionError('path', 'expected parameters with different names, other than body and query')
  }
  return { names, fill: (values) => path.replace(PARAMETER, (_, name: string) => encode(name, values(name))) }
}

// Also when a server decodes the path once or twice before it resolves dot segments.
const CLIMBS = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\]|%2f|%5c)/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression finds control characters.
const CONTROL = /[\x00-\x1f\x7f]/

function encode(name: string, value: unknown): string {
  if (typeof value === 'number' && Number.isFinite(value)) return encodeURIComponent(String(value))
  if (typeof value !== 'string') throw new OptionError(name, 'expected a string or a finite number')
  if (value === '') throw new OptionError(name, 'must not be empty')
  if (CLIMBS.test(value)) throw new OptionError(name, 'must not have a segment . or ..')
  if (CONTROL.test(value) || !value.isWellFormed())
    throw new OptionError(name, 'has a character that a path must not have')
  return encodeURIComponent(value)
}
