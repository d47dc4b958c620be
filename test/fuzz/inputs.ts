/** Tokens that are almost right: respelled, cut, spliced, forged, or properly signed and saying something odd. */

import type { Signer } from '../support/signer.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'
import type { Random } from './random.ts'

export const ISSUER = 'https://id.example'
export const AUDIENCE = 'user-service'

/** Whose keys are published, and who would like to be one of them. */
export interface Cast {
  readonly signers: readonly Signer[]
  readonly attacker: Signer
}

export function createCast(): Cast {
  return {
    signers: (['ES256', 'RS256', 'EdDSA'] as const).map((alg) => createSigner(alg)),
    attacker: createSigner('ES256', 'ES256-1'),
  }
}

export interface Input {
  readonly text: string
  /** Which kind of change it is; `good` is none. */
  readonly kind: string
}

type Mutation = (good: string, random: Random, cast: Cast) => string

export function nextInput(random: Random, cast: Cast): Input {
  const [kind, mutate] = random.pick(MUTATIONS)
  return { kind, text: mutate(goodToken(random, cast), random, cast) }
}

function goodToken(random: Random, { signers }: Cast): string {
  return random.pick(signers).token(goodClaims(ISSUER, { sub: `user-${random.integer(50)}`, scope: 'read write' }))
}

const ALPHABET = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
const ODD = [...'=+/ .\t\r\n\0%"\\,;:~é＝．\u00ad\u200b\ud83d', '\u2028', '..', '%2E', '==', 'Bearer ']
const at = (text: string, random: Random): number => random.integer(text.length + 1)
const segments = (text: string): string[] => text.split('.')
const decode = (text: string): string => Buffer.from(text, 'base64url').toString('latin1')

/** Signed by a published key, whatever `header` and `claims` are. */
function signed(header: string, claims: string, signer: Signer): string {
  const input = `${segment(Buffer.from(header, 'latin1'))}.${segment(Buffer.from(claims, 'latin1'))}`
  return `${input}.${signer.signature(input)}`
}

function replaceSegment(text: string, random: Random, change: (segment: string) => string): string {
  const parts = segments(text)
  const index = random.integer(parts.length)
  parts[index] = change(parts[index] ?? '')
  return parts.join('.')
}

function edited(text: string, random: Random, characters: readonly string[]): string {
  const position = at(text, random)
  const length = random.integer(3)
  return text.slice(0, position) + random.pick(characters) + text.slice(position + length)
}

const NAMES = [
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'cnf', 'act', 'scope', '__proto__', 'toString'],
  ...['typ', 'token_use', 'nonce', 'at_hash', 'c_hash', 's_hash', 'events', 'token_introspection'],
]
const HEADER_NAMES = ['alg', 'kid', 'typ', 'crit', 'b64', 'zip', 'jwk', 'jku', 'x5u', 'x5c', 'cty', 'enc', '__proto__']
/** JSON texts, also of numbers and texts that JSON.stringify would not write. */
const VALUES = [
  ...['null', 'true', 'false', '0', '-1', '1', '1e999', '-1e999', '1e308', '4102444800', '4102444800000', '0.5'],
  ...['""', '"user-service"', '"User-Service"', '"https://id.example"', '"https://id.example/"', '"none"', '"HS256"'],
  ...[
    '"ES256"',
    '"RS256"',
    '"EdDSA"',
    '"ES256-1"',
    '"at+jwt"',
    '"JWT"',
    '"dpop+jwt"',
    '"application/at+jwt"',
    '"Bearer"',
    '"ID"',
    '"access"',
    '"id"',
    '"read"',
    '"\\u0000"',
    '"\\ud800"',
  ],
  ...['[]', '["user-service"]', '[["user-service"]]', '["a",7]', '{}', '{"jkt":"x"}', '{"sub":"a"}', '["b64"]'],
  ...['"9999999999"', 'NaN', '01', '[', '"', '{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}}}'],
]

/** Sets or adds a member, sometimes so that its name stands there twice. */
function oddMember(json: string, names: readonly string[], random: Random): string {
  const name = random.pick(names)
  const value = random.pick(VALUES)
  const member = `"${random.integer(8) === 0 ? escaped(name) : name}":${value}`
  if (random.integer(3) === 0) return json.replace(/\}$/, `,${member}}`)
  const without = JSON.parse(json) as Record<string, unknown>
  delete without[name]
  const rest = JSON.stringify(without).slice(1)
  if (random.integer(6) === 0) return `{${rest}`
  return `{${member}${rest === '}' ? '' : ','}${rest}`
}

const escaped = (name: string): string => `\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}`

/** Decodes a good token, changes one of its two JSON texts, and signs it again with the key it names, or another one. */
function resigned(change: (json: string, isHeader: boolean, random: Random) => string): Mutation {
  return (good, random, { signers }) => {
    const [header = '', payload = ''] = segments(good)
    const own = signers.find(({ jwk }) => decode(header).includes(`"${String(jwk['kid'])}"`))
    const signer = own === undefined || random.integer(10) === 0 ? random.pick(signers) : own
    return random.integer(3) === 0
      ? signed(change(decode(header), true, random), decode(payload), signer)
      : signed(decode(header), change(decode(payload), false, random), signer)
  }
}

const MUTATIONS: readonly (readonly [string, Mutation])[] = [
  ['good', (good) => good],
  ['one character of the alphabet', (good, random) => edited(good, random, ALPHABET)],
  ['one odd character', (good, random) => edited(good, random, ODD)],
  ['an odd end', (good, random) => `${good}${random.pick(ODD)}`],
  ['an odd beginning', (good, random) => `${random.pick(ODD)}${good}`],
  ['an odd end of a segment', (good, random) => replaceSegment(good, random, (part) => `${part}${random.pick(ODD)}`)],
  [
    'trailing bits',
    (good, random) => replaceSegment(good, random, (part) => part.slice(0, -1) + random.pick(ALPHABET)),
  ],
  ['cut off', (good, random) => good.slice(0, at(good, random))],
  ['cut into', (good, random) => good.slice(at(good, random))],
  ['a piece twice', (good, random) => `${good.slice(0, at(good, random))}${good.slice(at(good, random))}`],
  ['an empty segment', (good, random) => replaceSegment(good, random, () => '')],
  [
    'segments in another order',
    (good, random) =>
      segments(good)
        .sort(() => random.integer(3) - 1)
        .join('.'),
  ],
  ['a segment more', (good, random) => `${good}.${random.pick(segments(good))}`],
  ['a segment of another token', (good, random, cast) => spliced(good, goodToken(random, cast), random)],
  ['another case', (good, random) => (random.integer(2) === 0 ? good.toUpperCase() : good.toLowerCase())],
  ['forged', (good, _, { attacker }) => forged(good, attacker)],
  ['no signature', (good) => `${segment({ alg: 'none', typ: 'at+jwt' })}.${segments(good)[1]}.`],
  [
    'an odd claim or parameter',
    resigned((json, isHeader, random) => oddMember(json, isHeader ? HEADER_NAMES : NAMES, random)),
  ],
  [
    'odd bytes in the JSON',
    resigned((json, _, random) => edited(json, random, [...ODD, '"', '{', '}', '[', ',', '\xff', '\\', '1'])),
  ],
  ['much', (_, random) => random.pick(ALPHABET).repeat(random.integer(20_000))],
  [
    'nothing of the kind',
    (_, random) => Array.from({ length: random.integer(40) }, () => random.pick([...ALPHABET, ...ODD])).join(''),
  ],
]

function spliced(one: string, other: string, random: Random): string {
  const index = random.integer(3)
  return segments(one)
    .map((part, i) => (i === index ? segments(other)[i] : part))
    .join('.')
}

function forged(good: string, attacker: Signer): string {
  const [, payload = ''] = segments(good)
  return signed(JSON.stringify({ alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt' }), decode(payload), attacker)
}
