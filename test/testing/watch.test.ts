/** `watchTokens` names the host that a token reached and the line that sent it, whichever way it went. */

import { once } from 'node:events'
import { get as httpGet } from 'node:http'
import http2 from 'node:http2'
import { get as httpsGet } from 'node:https'
import { connect } from 'node:net'
import axios from 'axios'
import got from 'got'
import ky from 'ky'
import { request as undiciRequest } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import type { TestServer, TokenWatch } from '../../src/testing/index.ts'
import { asCaller, createTestDestination, watchTokens } from '../../src/testing/index.ts'
import { optionsFor } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const alice = { subject: 'alice' }
let relay: TokenRelay
let named: TestServer
let other: TestServer
let secure: TestServer
let h2: TestServer
let watch: TokenWatch

beforeEach(async () => {
  named = await createTestDestination()
  other = await createTestDestination()
  secure = await createTestDestination({ protocol: 'https' })
  h2 = await createTestDestination({ protocol: 'h2' })
  relay = createTokenRelay({
    ...optionsFor([createSigner().jwk]),
    ingress: { mode: 'require' },
    telemetry: { log: 'off' },
    destinations: [named.entry, secure.entry, h2.entry],
  })
  watch = watchTokens()
})
afterEach(async () => {
  watch.stop()
  await relay.shutdown()
  for (const destination of [named, other, secure, h2]) await destination[Symbol.asyncDispose]()
})

/** The message with which `assertion` fails. */
function messageOf(assertion: () => void): string {
  try {
    assertion()
  } catch (error) {
    expect(error).toMatchObject({ name: 'AssertionError' })
    return (error as Error).message
  }
  throw new Error('it has passed')
}

function header(): { readonly authorization: string } {
  return { authorization: `Bearer ${getActiveCredential()?.reveal()}` }
}

async function overHttp2(origin: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const session = http2.connect(origin, { ca: h2.ca })
  const stream = session.request({ ':path': '/h2', ...headers })
  stream.resume()
  await once(stream, 'close')
  session.close()
}

function get(url: string, headers: Readonly<Record<string, string>> = {}, ca?: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const start = url.startsWith('https') ? httpsGet : httpGet
    start(url, { headers, ca }, (response) => response.resume().on('end', resolve)).on('error', reject)
  })
}

describe('the relay sends to what is named', () => {
  it('and nothing is wrong with that', async () => {
    await asCaller(alice, async () => {
      await fetch(`${named.origin}/fetch`)
      await get(`${named.origin}/http`)
      await get(`${secure.origin}/https`, {}, secure.ca)
      await overHttp2(h2.origin, {})
      await fetch(`${other.origin}/none`)
    })
    watch.expectOnly([named, secure, h2])
    expect(watch.sent.map(({ subject, field }) => [subject, field])).toEqual(Array(4).fill(['alice', 'authorization']))
    expect(watch.sent[0]?.site).toMatch(/^test\/testing\/watch\.test\.ts:\d+:\d+/)
    expect(messageOf(() => watch.expectOnly([named, secure, h2, other]))).toBe(
      `expected a token to reach ${other.address}, and none did`,
    )
    expect(messageOf(() => watch.expectNone())).toContain(`to ${named.address} (GET /fetch)`)
    watch.expectNone({ allow: [named, new URL(secure.origin), h2.origin] })
  })

  it('and nothing that has no token counts', async () => {
    await fetch(`${named.origin}/fetch`, { headers: { authorization: 'Basic YTpi' } })
    watch.expectNone()
  })
})

const CLIENTS: Readonly<Record<string, (url: string, headers: Readonly<Record<string, string>>) => Promise<unknown>>> =
  {
    fetch: (url, headers) => fetch(url, { headers }),
    http: (url, headers) => get(url, headers),
    undici: (url, headers) => undiciRequest(url, { headers }).then(({ body }) => body.dump()),
    axios: (url, headers) => axios.get(url, { headers }),
    got: (url, headers) => got.get(url, { headers }),
    ky: (url, headers) => ky.get(url, { headers }),
    'node:net': async (url, headers) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      socket.write(
        `GET /leak HTTP/1.1\r\nhost: a\r\nauthorization: ${headers['authorization']}\r\nconnection: close\r\n\r\n`,
      )
      await once(socket.resume(), 'close')
    },
  }

describe.each(Object.keys(CLIENTS))('a token that was copied by hand and sent by %s', (client) => {
  it('is named with the host and the line that sent it', async () => {
    const send = async (): Promise<void> => {
      await CLIENTS[client]?.(`${other.origin}/leak`, header())
    }
    await asCaller(alice, async () => {
      await fetch(named.origin)
      await send()
    })
    const message = messageOf(() => watch.expectOnly([named]))
    expect(message).toContain(`to ${other.address} (GET /leak): a token of 'alice' in the field authorization`)
    expect(message).toMatch(/sent by test\/testing\/watch\.test\.ts:\d+:\d+/)
    expect(message).not.toContain('eyJ')
    expect(watch.sent).toHaveLength(2)
  })
})

it('finds a token in a path, in another field and in a body, and prints none', async () => {
  await asCaller(alice, async ({ credential }) => {
    await fetch(`${other.origin}/a?access_token=${credential.reveal()}`)
    await fetch(other.origin, { headers: { 'x-copy': credential.reveal() } })
    await fetch(other.origin, { method: 'POST', body: JSON.stringify({ token: credential.reveal() }) })
  })
  const message = messageOf(() => watch.expectNone())
  expect(watch.sent.map(({ field }) => field)).toEqual(['path', 'x-copy', 'body'])
  expect(message).not.toContain('eyJ')
  expect(other.received.map(({ path, body }) => [path, body])).toEqual([
    ['/a?access_token=[token of alice]', ''],
    ['/', ''],
    ['/', '{"token":"[token of alice]"}'],
  ])
})

it('finds a token over TLS and over HTTP/2', async () => {
  await asCaller(alice, async () => {
    await get(`${secure.origin}/a`, header(), secure.ca)
    await overHttp2(h2.origin, header())
  })
  const message = messageOf(() => watch.expectNone())
  expect(message).toContain(`over TLS to ${secure.address} (GET /a)`)
  expect(message).toContain(`over TLS to ${h2.address} (GET /h2)`)
})

it('does not believe a Host field', async () => {
  await asCaller(alice, () => get(other.origin, { ...header(), host: new URL(named.origin).host }))
  expect(messageOf(() => watch.expectOnly([named]))).toContain(`to ${other.address}`)
})

it('sees nothing after its end', async () => {
  watch.stop()
  await asCaller(alice, () => fetch(other.origin, { headers: header() }))
  expect(watch.sent).toEqual([])
})
