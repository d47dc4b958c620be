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

/** A JSON object in base64url begins so. */
const JWT = /eyJ[\w-]+\.[\w-]+\.[\w-]*(?:\.[\w-]+\.[\w-]+)?/g
const BEARER = /^bearer +(\S+)$/i
const SCOPE_CLAIMS = ['scope', 'scp', 'roles']

/** Opens a sealed token; `undefined` if the key is not known. */
export type OpenSealed = (sealed: string) => string | undefined

export interface Found {
  readonly tokens: readonly FoundToken[]
  /** The text with the subjects of the tokens in their place. */
  readonly text: string
}

/** Finds every JWT in `text`, which is the value of `field`, and an opaque bearer token if it is `authorization`. */
export function findTokens(field: string, text: string, open: OpenSealed = () => undefined): Found {
  const tokens: FoundToken[] = []
  const add = (token: FoundToken): string => {
    tokens.push(token)
    return `[token of ${token.subject ?? 'an unknown subject'}]`
  }
  const shown = text.replace(JWT, (candidate) => {
    const token = readToken(field, candidate, open)
    return token === undefined ? candidate : add(token)
  })
  const opaque = tokens.length === 0 && field === 'authorization' && BEARER.test(text)
  return { text: opaque ? `Bearer ${add(describe(field, {}, false))}` : shown, tokens }
}

function readToken(field: string, text: string, open: OpenSealed): FoundToken | undefined {
  const segments = text.split('.')
  if (segments.length === 5) return readSealed(field, text, open)
  const [header, claims] = segments.map(parse)
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
