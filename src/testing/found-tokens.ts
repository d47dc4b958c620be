/** Finds tokens in what was sent, and says whose they are without their text. */

import { isObject, ownProperty } from '../base/own-property.ts'
import { readScopes } from '../token/scopes.ts'

/** A token that was sent. It does not hold the text. */
export interface FoundToken {
  /** The field that it was in, in lower case; `path` or `body` if it was there. */
  readonly field: string
  /** `sub` of the token; `undefined` if it has none, or cannot be read. */
  readonly subject: string | undefined
  /** All scopes of the token. */
  readonly scopes: readonly string[]
  /** `aud` of the token, always as a list. */
  readonly audience: readonly string[]
  /** `iss` of the token; `undefined` if it cannot be read. */
  readonly issuer: string | undefined
  /** Whether it was sealed into a message. */
  readonly isSealed: boolean
}

/** A JSON object in base64url begins so, white space after its bracket included. */
const JWT = /e[wy][\w-]{8,16384}\.[\w-]+\.[\w-]*(?:\.[\w-]+\.[\w-]+)?/g
/** The shortest JWT is longer than this in base64. */
const BASE64 = /[\w+/-]{48,}/g
const BEARER = /^bearer +(\S+)$/i
const SCOPE_CLAIMS = ['scope', 'scp', 'roles']

/** Opens a sealed token; `undefined` if the key is not known. */
export type OpenSealed = (sealed: string) => string | undefined

export interface Found {
  readonly tokens: readonly FoundToken[]
  /** The text with the subjects of the tokens in their place. */
  readonly text: string
}

/**
 * Finds every JWT in `text`, which is the value of `field`, and an opaque token after `Bearer`. A text in which a JWT
 * is percent-encoded or in base64, as in `Basic`, is replaced as a whole.
 */
export function findTokens(field: string, text: string, open: OpenSealed = () => undefined): Found {
  const tokens: FoundToken[] = []
  const add = (token: FoundToken): string => {
    tokens.push(token)
    return `[token of ${token.subject ?? 'an unknown subject'}]`
  }
  const read = (candidate: string): Replacement | undefined => {
    const sealed = candidate.split('.').length === 5 ? readSealed(field, candidate, open) : undefined
    if (sealed !== undefined) return { length: candidate.length, text: add(sealed) }
    // Any text may follow the third part: `….tar.gz`.
    const signed = candidate.split('.').slice(0, 3).join('.')
    const token = readSigned(field, signed)
    return token === undefined ? undefined : { length: signed.length, text: add(token) }
  }
  const shown = replaceJwts(text, read)
  if (tokens.length > 0) return { text: shown, tokens }
  for (const decoded of decode(text)) replaceJwts(decoded, read)
  if (tokens.length > 0) return { text: `[encoded token of ${tokens[0]?.subject ?? 'an unknown subject'}]`, tokens }
  return { text: BEARER.test(text) ? `Bearer ${add(describe(field, {}, false))}` : text, tokens }
}

interface Replacement {
  /** How many characters of the candidate it replaces. */
  readonly length: number
  readonly text: string
}

function replaceJwts(text: string, read: (candidate: string) => Replacement | undefined): string {
  const pattern = new RegExp(JWT)
  let shown = ''
  let from = 0
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const replacement = read(match[0])
    // A token may begin within what looked like one.
    pattern.lastIndex = match.index + (replacement?.length ?? 1)
    if (replacement === undefined) continue
    shown += text.slice(from, match.index) + replacement.text
    from = pattern.lastIndex
  }
  return shown + text.slice(from)
}

/** Base64 at four offsets, because a run can begin before the encoded text does. */
function* decode(text: string): Generator<string> {
  const plain = text.replaceAll(/%([\da-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
  if (plain !== text) yield plain
  for (const [run] of plain.matchAll(BASE64)) {
    for (let offset = 0; offset < 4; offset += 1) yield Buffer.from(run.slice(offset), 'base64').toString('latin1')
  }
}

function readSigned(field: string, text: string): FoundToken | undefined {
  const [header, claims] = text.split('.').map(parse)
  return header === undefined || claims === undefined ? undefined : describe(field, claims, false)
}

function readSealed(field: string, text: string, open: OpenSealed): FoundToken | undefined {
  const header = parse(text.split('.')[0] ?? '')
  if (header === undefined || ownProperty(header, 'enc') === undefined) return undefined
  return describe(field, parse(open(text)?.split('.')[1] ?? '') ?? {}, true)
}

function describe(field: string, claims: Readonly<Record<string, unknown>>, isSealed: boolean): FoundToken {
  const [subject, issuer] = ['sub', 'iss'].map((name) => textOf(ownProperty(claims, name)))
  const audience = [ownProperty(claims, 'aud')].flat().filter((name) => typeof name === 'string')
  return { field, subject, issuer, audience, scopes: readScopes(claims, SCOPE_CLAIMS), isSealed }
}

function textOf(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : undefined
}

function parse(segment: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString())
    return isObject(value) && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
