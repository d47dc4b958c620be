/** What a test destination has received: requests and messages, with subjects in place of the texts of tokens. */

import { inspect } from 'node:util'
import type { FoundToken, OpenSealed } from '../found-tokens.ts'
import { findTokens } from '../found-tokens.ts'

/** A request or a message that a test destination has received. Texts of tokens are replaced by their subjects. */
export interface Received {
  /** The method; `PUBLISH` of messages. */
  readonly method: string
  /** The path with the query; the name of the queue for messages. */
  readonly path: string
  /** Every header line and trailer, name and value, as they came. */
  readonly headerLines: readonly (readonly [name: string, value: string])[]
  /** The body as text (Latin-1 if it is no UTF-8), decompressed if it came as `gzip`, `deflate` or `br`. */
  readonly body: string
  /** The tokens in all of these. */
  readonly tokens: readonly FoundToken[]
}

/** The same with the texts of the tokens. */
export interface RawReceived extends Omit<Received, 'tokens'> {}

/** Reads what came, and replaces the texts of tokens. */
export function readReceived(raw: RawReceived, open?: OpenSealed): Received {
  const tokens: FoundToken[] = []
  const read = (field: string, text: string): string => {
    const found = findTokens(field, text, open)
    tokens.push(...found.tokens)
    return found.text
  }
  const headerLines = raw.headerLines.map(([name, value]) => [name, read(name.toLowerCase(), value)] as const)
  return { method: raw.method, path: read('path', raw.path), headerLines, body: read('body', raw.body), tokens }
}

/** One line for messages of errors. */
export function describeReceived({ method, path, tokens }: Received): string {
  const whose = tokens.map((token) => describeToken(token)).join(' and ')
  // An opaque token may be in the query.
  return `${method} ${path.split('?')[0]} with ${whose === '' ? 'no token' : whose}`
}

/** Says whose token it is, what it allows and where it was. */
export function describeToken({ subject, scopes, field, isSealed }: FoundToken): string {
  const whose = subject === undefined ? 'of an unknown subject' : `of ${inspect(subject)}`
  const allowed = scopes.length === 0 ? '' : ` with the scopes ${scopes.join(' ')}`
  const place = field === 'path' || field === 'body' ? `the ${field}` : `the field ${field}`
  return `${isSealed ? 'a sealed token' : 'a token'} ${whose}${allowed} in ${place}`
}
