/** What an issuer may answer when it is asked for its keys. */

import { createHmac } from 'node:crypto'
import { createServer } from 'node:https'
import { gzipSync } from 'node:zlib'
import { diag } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KeySetOptions } from '../../src/index.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Answering, FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { close, listen } from '../support/issuer.ts'
import { refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const GOOD = JSON.stringify({ keys: [signer.jwk] })
const JSON_TYPE = { 'content-type': 'application/json' }

const forgetful = globalThis.fetch

let server: FaultyIssuer
beforeEach(async () => {
  server = await startFaultyIssuer()
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await server[Symbol.asyncDispose]()
})

async function verdictWith(answering: Answering, options: KeySetOptions = {}, token?: string): Promise<string> {
  server.answer('/jwks', answering)
  const jwksUri = `${server.origin}/jwks`
  const issuer = { issuer: server.origin, audience: 'user-service', jwksUri, keySet: options }
  return withRelay({ issuers: [issuer] }, (relay) =>
    verdict(relay.verify(token ?? signer.token(goodClaims(server.origin)))),
  )
}

describe('the type of the document', () => {
  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'Application/JSON',
    'application/jwk-set+json',
    'application/jwk-set+json; charset=utf-8',
  ])('%s is accepted', async (type) => {
    expect(await verdictWith({ headers: { 'content-type': type }, body: GOOD })).toBe('verified')
  })

  it.each([
    'text/html',
    'text/plain',
    'application/octet-stream',
    'application/jsonp',
    'text/json',
    'application/xml',
    '',
  ])('%j is refused, whatever the body [D6]', async (type) => {
    expect(await verdictWith({ headers: type === '' ? {} : { 'content-type': type }, body: GOOD })).toBe(
      'ERR_TOKEN_KEYS_UNAVAILABLE',
    )
  })
})

describe('refuses a body that is not a key set [D6]', () => {
  it.each<readonly [string, string | Uint8Array]>([
    ['no body', ''],
    ['HTML', '<html></html>'],
    ['something after it', `${GOOD}x`],
    ['two of them', `${GOOD}${GOOD}`],
    ['half of it', GOOD.slice(0, -10)],
    ['bad UTF-8', Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff]), Buffer.from(`",${GOOD.slice(1)}`)])],
    ['UTF-16', Buffer.from(GOOD, 'utf16le')],
    ['a list', `[${JSON.stringify(signer.jwk)}]`],
    ['null', 'null'],
    ['a text', '"keys"'],
    ['no keys', '{}'],
    ['keys that are no list', `{"keys":${JSON.stringify(signer.jwk)}}`],
  ])('%s', async (_, body) => {
    expect(await verdictWith({ body })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('a byte order mark', async () => {
    expect(await verdictWith({ body: `\ufeff${GOOD}` })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })
})

describe('follows no redirect [D5]', () => {
  it.each([301, 302, 303, 307, 308])('%i to another host, to another path, to itself', async (status) => {
    await using sink = await startSink()
    for (const location of [`${sink.origin}/jwks`, '/other', '/jwks', 'file:///etc/passwd']) {
      server.answer('/other', { body: GOOD })
      expect(await verdictWith({ status, headers: { location } })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
    }
    expect(sink.received).toEqual([])
    expect(server.fetches('/other')).toBe(0)
    expect(server.fetches('/jwks')).toBe(4)
  })
})

it.each([201, 204, 206, 400, 401, 404, 418, 500, 503])('status %i is no key set', async (status) => {
  const body = status === 204 ? undefined : GOOD
  const answering: Answering = (_, response) => void response.writeHead(status, JSON_TYPE).end(body)
  expect(await verdictWith(answering)).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
})

it('a server with an untrusted certificate is an issuer that is down [D14]', async () => {
  const requests: unknown[] = []
  const { key, cert } = await createCertificates()
  const tls = createServer({ key, cert }, (request, response) => {
    requests.push(request.url)
    response.writeHead(200, JSON_TYPE).end(GOOD)
  })
  const port = await listen(tls)
  const issuer = { issuer: server.origin, audience: null, jwksUri: `https://127.0.0.1:${port}/jwks` }
  const token = signer.token(goodClaims(server.origin))
  const seen = await withRelay({ issuers: [issuer] }, (relay) => verdict(relay.verify(token)))
  await close(tls)
  expect([seen, requests]).toEqual(['ERR_TOKEN_KEYS_UNAVAILABLE', []])
})

describe('is bounded [D4]', () => {
  const padded = (bytes: number): string => `${GOOD}${' '.repeat(bytes - GOOD.length)}`

  it('in bytes, to the byte', async () => {
    expect(await verdictWith({ body: padded(2_000) }, { maxBytes: 2_000 })).toBe('verified')
    expect(await verdictWith({ body: padded(2_001) }, { maxBytes: 2_000 })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('in bytes, at one mebibyte by default', async () => {
    expect(await verdictWith({ body: padded(1_048_576) })).toBe('verified')
    expect(await verdictWith({ body: padded(1_048_577) })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('in bytes after decompression', async () => {
    const body = gzipSync(padded(10_000_000))
    expect(body.byteLength).toBeLessThan(100_000)
    expect(await verdictWith({ headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body })).toBe(
      'ERR_TOKEN_KEYS_UNAVAILABLE',
    )
  })

  it('in bytes if the length is not announced, and stops reading', async () => {
    let closed: Promise<void> | undefined
    const endless: Answering = (_, response) => {
      closed = new Promise((resolve) => response.on('close', resolve))
      response.writeHead(200, JSON_TYPE)
      const write = (): void => {
        while (!response.destroyed && response.write(' '.repeat(16_384)));
      }
      response.on('drain', write)
      write()
    }
    expect(await verdictWith(endless)).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
    await closed
  })

  it('in time, if nothing comes', async () => {
    expect(await verdictWith(() => undefined, { timeoutMillis: 50 })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('in time, if the body does not end', async () => {
    const hanging: Answering = (_, response) => void response.writeHead(200, JSON_TYPE).write(GOOD)
    expect(await verdictWith(hanging, { timeoutMillis: 50 })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it.each<readonly [string, Answering]>([
    ['nothing comes', () => undefined],
    ['the body does not end', (_, response) => void response.writeHead(200, JSON_TYPE).write(GOOD)],
  ])('in time, although `fetch` forgets its signal: %s', async (_, answering) => {
    vi.stubGlobal('fetch', async (url: string, { signal: _, ...init }: RequestInit) => forgetful(url, init))
    expect(await verdictWith(answering, { timeoutMillis: 50 })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('in time, if the body drips', async () => {
    const dripping: Answering = (_, response) => {
      response.writeHead(200, JSON_TYPE)
      const timer = setInterval(() => response.write(' '), 5)
      response.on('close', () => clearInterval(timer))
    }
    expect(await verdictWith(dripping, { timeoutMillis: 100 })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })
})

describe('uses no key that should not have been published [D8]', () => {
  const secret = Buffer.from('a secret that everybody can read now')
  const oct = { kty: 'oct', k: secret.toString('base64url'), kid: 'secret', alg: 'HS256', use: 'sig' }
  const leaked = createSigner('ES256', 'leaked')
  const leakedJwk = { ...leaked.privateKey.export({ format: 'jwk' }), kid: 'leaked', alg: 'ES256', use: 'sig' }
  const document = { body: { keys: [oct, leakedJwk, signer.jwk] } }

  it('the public keys beside it work', async () => {
    expect(await verdictWith(document)).toBe('verified')
  })

  it('a private key verifies nothing', async () => {
    expect(await verdictWith(document, {}, leaked.token(goodClaims(server.origin)))).toBe('ERR_TOKEN_KEY')
  })

  it('a secret verifies nothing', async () => {
    const input = `${segment({ alg: 'HS256', kid: 'secret', typ: 'at+jwt' })}.${segment(goodClaims(server.origin))}`
    const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
    expect(await verdictWith(document, {}, token)).toBe('ERR_TOKEN_ALGORITHM')
  })
})

describe('other keys in the set', () => {
  const odd: readonly unknown[] = [
    null,
    1,
    'key',
    [],
    {},
    { kty: 7 },
    { kty: 'RSA' },
    { kty: 'EC', crv: 'P-256' },
    { kid: 1 },
  ]

  it('odd ones do not keep a good one from working [D9]', async () => {
    expect(await verdictWith({ body: { keys: [...odd, signer.jwk, ...odd] } })).toBe('verified')
  })

  it('a hundred others do not, either', async () => {
    const others = Array.from({ length: 100 }, (_, i) => ({ ...signer.jwk, kid: `other-${i}` }))
    expect(await verdictWith({ body: { keys: [...others, signer.jwk] } })).toBe('verified')
  })

  it('kids are compared to the letter [D10]', async () => {
    const others = ['ES256-1 ', 'es256-1', '\uff25S256-1'].map((kid) => ({ ...createSigner().jwk, kid }))
    expect(await verdictWith({ body: { keys: [...others, signer.jwk] } })).toBe('verified')
  })

  it('an empty set is an issuer that is down [D11]', async () => {
    expect(await verdictWith({ body: { keys: [] } })).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
  })

  it('a kid that two keys have locks no caller out [D7]', async () => {
    const namesake = createSigner('ES256', signer.jwk['kid'] as string)
    expect(await verdictWith({ body: { keys: [namesake.jwk, signer.jwk] } })).toBe('verified')
  })

  it.each([undefined, 'ES256-1'])('ten keys with the kid %s lock no caller out [D7]', async (kid) => {
    const keys = [...Array.from({ length: 9 }, () => createSigner().jwk), signer.jwk].map((jwk) => ({ ...jwk, kid }))
    expect(await verdictWith({ body: { keys } }, {}, signer.token(goodClaims(server.origin), { kid }))).toBe('verified')
  })

  it.each([
    [['verify', 'sign']],
    [['encrypt', 'verify']],
    [['verify', 'something new']],
  ])('a key that may verify verifies, whatever else it may do: %j [D9]', async (operations) => {
    expect(await verdictWith({ body: { keys: [{ ...signer.jwk, key_ops: operations }] } })).toBe('verified')
  })

  it.each([
    [16, 'verified'],
    [17, 'ERR_TOKEN_SIGNATURE'],
  ])('a token costs sixteen signature checks at most: the right key comes as number %i [D7, H12]', async (place, expected) => {
    const namesakes = Array.from({ length: place - 1 }, () => ({ ...createSigner().jwk, kid: 'ES256-1' }))
    expect(await verdictWith({ body: { keys: [...namesakes, signer.jwk] } })).toBe(expected)
    const nameless = signer.token(goodClaims(server.origin), { kid: undefined })
    expect(await verdictWith({ body: { keys: [...namesakes, signer.jwk] } }, {}, nameless)).toBe(expected)
  })

  it.each([
    [500, 'verified'],
    [501, 'ERR_TOKEN_KEY'],
  ])('the first 500 keys of a set are used: the right one is number %i [D10]', async (place, expected) => {
    const others = Array.from({ length: place - 1 }, (_, i) => ({ ...signer.jwk, kid: `other-${i}` }))
    expect(await verdictWith({ body: { keys: [...others, signer.jwk] } })).toBe(expected)
  })

  it('a token with a kid is not tried with a key that has none', async () => {
    const nameless = { ...signer.jwk, kid: undefined }
    expect(await verdictWith({ body: { keys: [nameless] } })).toBe('ERR_TOKEN_KEY')
    const token = signer.token(goodClaims(server.origin), { kid: undefined })
    expect(await verdictWith({ body: { keys: [nameless] } }, {}, token)).toBe('verified')
  })

  it('a token without kid is tried with the keys of its algorithm [D7]', async () => {
    const token = signer.token(goodClaims(server.origin), { kid: undefined })
    const keys = [createSigner('ES256', 'other').jwk, signer.jwk]
    expect(await verdictWith({ body: { keys } }, {}, token)).toBe('verified')
  })

  it.each([
    ['a point that is not on the curve', { y: signer.jwk['x'] }],
    ['a coordinate of another length', { x: 'AA' }],
    ['no coordinate', { x: undefined }],
  ])('a broken key is as if it were not there: %s [A20]', async (_, change) => {
    const broken = { ...signer.jwk, kid: 'broken', ...change }
    const token = signer.token(goodClaims(server.origin), { kid: 'broken' })
    expect(await verdictWith({ body: { keys: [broken, signer.jwk] } }, {}, token)).toBe('ERR_TOKEN_KEY')
    expect(await verdictWith({ body: { keys: [broken, signer.jwk] } })).toBe('verified')
  })
})

it('the log says how many keys are not used, and why, and nothing else of them [D8, D9, D10]', async () => {
  const said: string[] = []
  const hear = (text: string): void => void said.push(text)
  diag.setLogger({ error: hear, warn: hear, info: () => undefined, debug: () => undefined, verbose: () => undefined })
  const odd = [{ kty: 'oct', k: 'm4rk3r' }, { ...signer.jwk, d: 'm4rk3r' }, 'm4rk3r', { kty: 'm4rk3r' }]
  const many = Array.from({ length: 500 }, (_, i) => ({ ...signer.jwk, kid: `m4rk3r-${i}` }))
  await verdictWith({ body: { keys: [...odd, signer.jwk, ...many] } }).finally(() => diag.disable())
  expect(said.filter((text) => text.includes(server.origin))).toEqual([
    `otel-token-relay: keys of ${server.origin}: not used: 5 too_many, 1 symmetric, 1 private, 1 malformed, 1 unsupported`,
  ])
})

it('the error repeats neither the address nor what came from there', async () => {
  server.answer('/jwks', { status: 500 })
  const issuer = { issuer: server.origin, audience: null, jwksUri: `${server.origin}/jwks` }
  await withRelay({ issuers: [issuer] }, async (relay) => {
    const error: unknown = await relay.verify(signer.token(goodClaims(server.origin))).catch((e: unknown) => e)
    expect(error).toMatchObject(refusal('ERR_TOKEN_KEYS_UNAVAILABLE'))
    expect(JSON.stringify(error) + String(error)).not.toContain(server.origin)
    expect('cause' in (error as object)).toBe(false)
  })
})
