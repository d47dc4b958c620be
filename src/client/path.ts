/** Path templates such as `/profiles/{userId}`: parameters fill a place in the path, and can never become more of it. */

import { OptionError } from '../token/checked-options.ts'

/** What may stand in a path. */
export type PathValue = string | number

/** The names of the parameters in a template. */
export type PathParameter<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | PathParameter<Rest>
  : never

export interface PathTemplate {
  readonly names: readonly string[]
  /** @throws OptionError for a value that must not stand in a path. */
  fill(values: (name: string) => unknown): string
}

const TEMPLATE = /^(?:\/(?:[\w.~!$&'()*+,;=:@-]|%[\da-f]{2}|\{[A-Za-z_]\w*\})*)+$/i
const PARAMETER = /\{(\w+)\}/g
/** Members of the input that are no parameters. */
const TAKEN: readonly string[] = ['body', 'query']
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i

/** @throws OptionError where `path` is no template. */
export function parseTemplate(path: unknown): PathTemplate {
  if (typeof path !== 'string' || !TEMPLATE.test(path) || path.includes('//')) {
    throw new OptionError('path', 'expected a path such as /profiles/{userId}, without query or fragment')
  }
  const names = [...path.matchAll(PARAMETER)].map(([, name = '']) => name)
  if (DOT_SEGMENT.test(path)) throw new OptionError('path', 'must not have a segment . or ..')
  if (names.some((name, i) => TAKEN.includes(name) || names.indexOf(name) !== i)) {
    throw new OptionError('path', 'parameters have different names, other than body and query')
  }
  return { names, fill: (values) => path.replace(PARAMETER, (_, name: string) => encode(name, values(name))) }
}

// A server that decodes the path before it looks at it, once or twice, must not find its way up either.
const CLIMBS = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\]|%2f|%5c)/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\x00-\x1f\x7f]/

function encode(name: string, value: unknown): string {
  if (typeof value === 'number' && Number.isFinite(value)) return encodeURIComponent(String(value))
  if (typeof value !== 'string') throw new OptionError(name, 'expected a string or a finite number')
  if (value === '') throw new OptionError(name, 'must not be empty')
  if (CLIMBS.test(value)) throw new OptionError(name, 'must not have a segment . or ..')
  if (CONTROL.test(value) || !value.isWellFormed()) throw new OptionError(name, 'has a character that no path may have')
  return encodeURIComponent(value)
}
