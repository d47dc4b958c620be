/** The test vectors of docs/vectors, made by jose from fixed keys: sealed messages that must open, and others that must not. */

import type { CompactJWEHeaderParameters, JWEKeyManagementHeaderParameters, JWK } from 'jose'
import { CompactEncrypt, importJWK, SignJWT } from 'jose'

export const VECTORS_FILE = 'docs/vectors/sealed-messages.json'

interface Key extends JWK {
  readonly kid: string
  readonly alg: string
}

/** The keys of consumers: with these a program opens all good vectors. */
const KEYS = {
  secret: { kid: 'orders-2', alg: 'A256KW', kty: 'oct', k: 'o0Hf135EWhkeh-07Xf8-8V7Sa8SJ9h7IP3tly996spc' },
  p256: {
    kid: 'shipping-1',
    alg: 'ECDH-ES+A256KW',
    kty: 'EC',
    crv: 'P-256',
    x: 'NwFk2GleHNEqfEv_trFll-j6NAS5r03pNuwOLbC3QVQ',
    y: 'JQSRou3GEx-LxGrCT8MaIAzV1S68CB1Yn70tbjgNESo',
    d: 'gVEWGSglP5S3HYrJ8_suU6sDpW_rdN88clBTELmKkyA',
  },
  x25519: {
    kid: 'shipping-2',
    alg: 'ECDH-ES+A256KW',
    kty: 'OKP',
    crv: 'X25519',
    x: 'gVAYJ7qbuqh51iM6t0t_cI7eurQ2BaVNvht136R-yTw',
    d: 'cMXWoieqzLROuQYykKwdtcDTt95BpXmti6ZhvrgxnWc',
  },
} as const satisfies Record<string, Key>

type KeyName = keyof typeof KEYS

/** A library makes these anew for each message. They are fixed here, so that the file can be made again. */
const EPHEMERAL: Readonly<Partial<Record<KeyName, JWK>>> = {
  p256: {
    kty: 'EC',
    crv: 'P-256',
    x: 'C_d85nQmQ1DMZnq99fO3HcaJ8EuIADLe50_R12qdUfg',
    y: 'w9ci8kgK7WPCPGQzWjctuuSFwpYlC3ApiG2nvP2t7s0',
    d: '5aTdGfjW2ihV6xoB5muSORVgTD9Nb5R3mxwyD1awBE8',
  },
  x25519: {
    kty: 'OKP',
    crv: 'X25519',
    x: 'R9SbXmF6seXq2YkCa2oCGG5tOscuSr8HiZsBHekMZ14',
    d: 'EERItPtT8R3nRkzYIIHT3Ygk78kgd6zxHLjjciLZVX4',
  },
}

const ISSUER = 'https://id.example.com'
const AUDIENCE = 'user-service'
const ISSUER_KEY: Key = {
  kid: 'issuer-1',
  alg: 'EdDSA',
  kty: 'OKP',
  crv: 'Ed25519',
  x: 'ac-Ad3sV4eV8nBZ2_6i5P_JkhszM8vo6qTGR4bzcvD0',
  d: 'uWyxtUy7tW-GM82g4ga9MqQJxc-LrTY5nx4SmtuqmBg',
}

/** 2026-01-02T03:04:05Z, when all vectors are sealed, in seconds. */
const NOW = 1_767_323_045
const MAX_AGE_SECONDS = 3_600
const CLOCK_TOLERANCE_SECONDS = 60
const PADDING_BYTES = 256
const TRACE = '0af7651916cd43dd8448eb211c80319c'

/** A message, and when it is read. */
export interface Vector {
  readonly name: string
  readonly authorization: string
  readonly traceparent?: string
  readonly source: string
  readonly now: number
}

export interface Vectors {
  readonly about: string
  readonly maxAgeSeconds: number
  readonly clockToleranceSeconds: number
  readonly keys: readonly Key[]
  readonly issuer: {
    readonly issuer: string
    readonly audience: string
    readonly jwks: { readonly keys: readonly JWK[] }
  }
  /** What each good vector holds: a token of `alice`. */
  readonly token: string
  readonly good: readonly Vector[]
  readonly wrong: readonly Vector[]
}

type Header = Readonly<Record<string, unknown>>

interface Sealing {
  readonly key?: KeyName
  readonly header?: Header
  readonly plaintext?: string
}

function headerOf(key: KeyName, changes: Header): Header {
  const { alg, kid } = KEYS[key]
  const binding = {
    iss: 'order-service',
    aud: 'kafka:orders',
    jti: 'message-1',
    iat: NOW,
    exp: NOW + 600,
    trace: TRACE,
  }
  return { alg, enc: 'A256GCM', kid, typ: 'token-relay+jwe', ...binding, ...changes }
}

function publicPart({ d: _, ...members }: JWK): JWK {
  return members
}

async function managementOf(key: KeyName): Promise<JWEKeyManagementHeaderParameters | undefined> {
  const ephemeral = EPHEMERAL[key]
  if (ephemeral === undefined) return undefined
  return {
    epk: (await importJWK(ephemeral, 'ECDH-ES+A256KW', {
      extractable: true,
    })) as NonNullable<JWEKeyManagementHeaderParameters['epk']>,
  }
}

/** Members that are `undefined` are left out. */
async function seal(token: string, { key = 'secret', header = {}, plaintext }: Sealing): Promise<string> {
  const padded = token.padEnd(Math.ceil(token.length / PADDING_BYTES) * PADDING_BYTES)
  const protectedHeader = JSON.parse(JSON.stringify(headerOf(key, header))) as CompactJWEHeaderParameters
  const jwe = new CompactEncrypt(Buffer.from(plaintext ?? padded)).setProtectedHeader(protectedHeader)
  jwe.setInitializationVector(Buffer.from('message no 1'))
  const cek = Buffer.from('the content key of these vectors')
  if (protectedHeader.alg !== 'dir') jwe.setContentEncryptionKey(cek.subarray(0, CEK_BYTES[protectedHeader.enc]))
  const management = await managementOf(key)
  if (management !== undefined) jwe.setKeyManagementParameters(management)
  return jwe.encrypt(await importJWK(publicPart(KEYS[key]), protectedHeader.alg))
}

const CEK_BYTES: Readonly<Record<string, number>> = { A256GCM: 32, A128GCM: 16 }

/** The last of 22 characters has two bits that count: all that begin with the same two decode to the same bytes. */
const SAME_BITS: Readonly<Record<string, string>> = { A: 'B', Q: 'R', g: 'h', w: 'x' }

/** With another character in the middle of segment `i`. */
function changed(sealed: string, i: number): string {
  const segments = sealed.split('.')
  const segment = segments[i] ?? ''
  const middle = segment.length >> 1
  return segments
    .with(i, `${segment.slice(0, middle)}${segment[middle] === 'A' ? 'B' : 'A'}${segment.slice(middle + 1)}`)
    .join('.')
}

function inMessage(sealed: string, changes: Partial<Omit<Vector, 'name'>> & { readonly name: string }): Vector {
  const message = { traceparent: `00-${TRACE}-b7ad6b7169203331-01`, source: 'kafka:orders', now: NOW }
  return { authorization: `Sealed ${sealed}`, ...message, ...changes }
}

async function goodVectors(token: string): Promise<readonly Vector[]> {
  const of = async (name: string, sealing: Sealing, changes: Partial<Vector> = {}): Promise<Vector> =>
    inMessage(await seal(token, sealing), { name, ...changes })
  return [
    await of('a secret', {}),
    await of('a P-256 key', { key: 'p256' }),
    await of('an X25519 key', { key: 'x25519' }),
    await of('without padding', { plaintext: token }),
    await of('padded to another multiple', { plaintext: token.padEnd(1_000) }),
    await of('without a trace', { header: { trace: undefined } }),
    await of('another span of the trace', {}, { traceparent: `00-${TRACE}-00f067aa0ba902b7-00` }),
    await of('a producer whose clock is 59 s ahead', { header: { iat: NOW + 59 } }),
    await of('in its last second', {}, { now: NOW + 599 }),
    { ...(await of('the scheme in other letters', {})), authorization: `sealed ${await seal(token, {})}` },
  ]
}

async function wrongVectors(token: string): Promise<readonly Vector[]> {
  const good = await seal(token, {})
  const of = async (name: string, header: Header, changes: Partial<Vector> = {}): Promise<Vector> =>
    inMessage(await seal(token, { header }), { name, ...changes })
  const holding = async (name: string, plaintext: string): Promise<Vector> =>
    inMessage(await seal(token, { plaintext }), { name })
  const spelled = (name: string, text: string): Vector => inMessage(text, { name })
  const { p256 } = EPHEMERAL
  return [
    await of('another queue', {}, { source: 'kafka:refunds' }),
    await of('another trace', {}, { traceparent: `00-${'f'.repeat(32)}-b7ad6b7169203331-01` }),
    (({ traceparent: _, ...message }) => message)(await of('a message that has lost its trace', {})),
    await of('expired', {}, { now: NOW + 600 }),
    await of('older than maxAgeSeconds', { exp: NOW + 86_400 }, { now: NOW + MAX_AGE_SECONDS }),
    await of('a producer whose clock is 61 s ahead', { iat: NOW + 61 }),
    await of('an unknown kid', { kid: 'orders-1' }),
    await of('the kid of a key of another kind', { kid: KEYS.p256.kid }),
    await of('another typ', { typ: 'JWT' }),
    await of('no typ', { typ: undefined }),
    await of('the secret as content key', { alg: 'dir' }),
    await of('another content encryption', { enc: 'A128GCM' }),
    await of('no producer', { iss: undefined }),
    await of('no message id', { jti: undefined }),
    await of('a message id of 65 characters', { jti: 'a'.repeat(65) }),
    await of('two destinations', { aud: ['kafka:orders', 'kafka:refunds'] }),
    await of('a time that is no whole number', { iat: NOW - 0.5 }),
    await of('a time that is text', { exp: String(NOW + 600) }),
    await of('a trace in capital letters', { trace: TRACE.toUpperCase() }),
    await of('an unknown member', { cty: 'JWT' }),
    await of('epk beside a secret', { epk: publicPart(p256 ?? {}) }),
    await holding('a space before the token', ` ${token}`),
    await holding('a line end after the token', `${token}\n`),
    await holding('two tokens', `${token} ${token}`),
    await holding('only padding', ' '.repeat(256)),
    spelled('another header', changed(good, 0)),
    spelled('another encrypted key', changed(good, 1)),
    spelled('another ciphertext', changed(good, 3)),
    spelled('another tag', changed(good, 4)),
    spelled('padding of base64', `${good}==`),
    spelled('another spelling of the tag', `${good.slice(0, -1)}${SAME_BITS[good.at(-1) ?? '']}`),
    spelled('six segments', `${good}.AAAA`),
    { ...spelled('the scheme of a bearer token', good), authorization: `Bearer ${good}` },
    { ...spelled('the token itself', good), authorization: `Bearer ${token}` },
  ]
}

export async function createVectors(): Promise<Vectors> {
  const claims = { iss: ISSUER, sub: 'alice', aud: AUDIENCE, iat: NOW, exp: NOW + 600, jti: 'token-1' }
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: ISSUER_KEY.kid })
    .sign(await importJWK(ISSUER_KEY))
  return {
    about:
      'Sealed messages of otel-token-relay. See docs/guides/other-languages.md. The keys are public: never use them.',
    maxAgeSeconds: MAX_AGE_SECONDS,
    clockToleranceSeconds: CLOCK_TOLERANCE_SECONDS,
    keys: Object.values(KEYS),
    issuer: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [publicPart(ISSUER_KEY)] } },
    token,
    good: await goodVectors(token),
    wrong: await wrongVectors(token),
  }
}

export function renderVectors(vectors: Vectors): string {
  return `${JSON.stringify(vectors, undefined, 2)}\n`
}
