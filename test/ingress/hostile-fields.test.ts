/** Requests as no library would send them: what they say is what one clean field would say, or they are refused. */

import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const ALICE = tokenOf()
const BOB = tokenOf({ sub: 'bob' })
const good = bearer(ALICE)
const bob = bearer(BOB)
const bad = bearer(tokenOf({ aud: 'another' }))

let service: Service
/** Who was let in, in order. */
const subjects: (string | undefined)[] = []
const handler = (_: unknown, response: { end(): void }): void => {
  subjects.push(getActiveCredential()?.subject)
  response.end()
}
beforeAll(async () => {
  service = await startService({ handler })
})
afterAll(() => service[Symbol.asyncDispose]())
beforeEach(() => {
  subjects.length = 0
})

/** Who is let in by a request with exactly these lines; nobody else may be. */
async function outcomeOf(lines: readonly string[], body = '', port = service.port): Promise<string> {
  const message = `${['POST / HTTP/1.1', 'Host: service', ...lines].join('\r\n')}\r\n\r\n${body}`
  const answer = await exchange(port, message, (text) => statuses(text).length > 0 && text.includes('\r\n\r\n'))
  expect(answer).not.toContain(ALICE.slice(-20))
  const [status] = statuses(answer)
  if (status !== 200) expect(subjects).toEqual([])
  return status === 200 ? subjects.join() : String(status ?? 'closed')
}
const END = ['Content-Length: 0', 'Connection: close']

describe('two lines are no token, whichever stands first [E1]', () => {
  const others = [
    good,
    bob,
    bad,
    'Authorization: Basic eDp5',
    'Authorization:',
    'Authorization: Bearer',
    'Authorization: x',
  ]
  const spelled = (line: string, name: string): string => line.replace('Authorization', name)
  it.each(
    others.flatMap((other) =>
      ['Authorization', 'authorization', 'AUTHORIZATION', 'aUtHoRiZaTiOn'].map((name) => [name, other] as const),
    ),
  )('%s beside a good one (%#) [E1]', async (name, other) => {
    expect(await outcomeOf([good, spelled(other, name), ...END])).toBe('400')
    expect(await outcomeOf([spelled(other, name), good, ...END])).toBe('400')
    expect(await outcomeOf([good, 'X-Between: y', spelled(other, name), ...END])).toBe('400')
  })

  it('where a server joins them [E1]', async () => {
    const joining = createServer({ joinDuplicateHeaders: true }, handler)
    const port = await listen(joining)
    expect(await outcomeOf([good, ...END], '', port)).toBe('alice')
    subjects.length = 0
    for (const other of [good, bob, 'Authorization: Basic eDp5', 'Authorization:']) {
      expect(await outcomeOf([good, other, ...END], '', port)).toBe('400')
      expect(await outcomeOf([other, good, ...END], '', port)).toBe('400')
    }
    await close(joining)
  })

  it('where the second one is beyond what a server reads [E1]', async () => {
    const short = createServer(handler)
    short.maxHeadersCount = 4
    const port = await listen(short)
    const fill = ['A: 1', 'B: 2', 'C: 3', 'D: 4']
    expect(['alice', '400', '431']).toContain(await outcomeOf([good, ...END, ...fill, bob], '', port))
    subjects.length = 0
    expect(['401', '400', '431']).toContain(await outcomeOf([...END, ...fill, good], '', port))
    await close(short)
  })

  it('a trailer is not a field [E1]', async () => {
    const chunked = ['Transfer-Encoding: chunked', 'Trailer: Authorization', 'Connection: close']
    expect(await outcomeOf(chunked, `1\r\nx\r\n0\r\n${good}\r\n\r\n`)).toBe('401')
    expect(await outcomeOf([good, ...chunked], `1\r\nx\r\n0\r\n${bob}\r\n\r\n`)).toBe('alice')
  })
})

describe('a value is one clean token, or none [E2]', () => {
  it.each([
    ['as it is', `Bearer ${ALICE}`, 'alice'],
    ['with spaces', `Bearer   ${ALICE}`, 'alice'],
    ['with white space around the value', ` \t Bearer ${ALICE} \t `, 'alice'],
    ['a tab', `Bearer\t${ALICE}`, '400'],
    ['a no-break space', `Bearer \u00a0${ALICE}`, '400'],
    ['a no-break space instead', `Bearer\u00a0${ALICE}`, '400'],
    ['a byte order mark before', `\u00ef\u00bb\u00bfBearer ${ALICE}`, '401'],
    ['a byte order mark in between', `Bearer \u00ef\u00bb\u00bf${ALICE}`, '400'],
    ['latin-1', `Bearer ${ALICE}\u00e4`, '400'],
    ['a comma list', `Bearer ${ALICE}, Bearer ${BOB}`, '400'],
    ['a comma list of schemes', `Basic eDp5, Bearer ${ALICE}`, '400'],
    ['a comma list of schemes, the other way', `Bearer ${ALICE}, Basic eDp5`, '400'],
    ['a comma at the end', `Bearer ${ALICE},`, '400'],
    ['a comma before', `,Bearer ${ALICE}`, '400'],
    ['quotes', `Bearer "${ALICE}"`, '400'],
    ['quotes around all of it', `"Bearer ${ALICE}"`, '401'],
    ['a parameter', `Bearer token="${ALICE}"`, '400'],
    ['a parameter after', `Bearer ${ALICE};x=y`, '400'],
    ['two tokens', `Bearer ${ALICE} ${BOB}`, '400'],
    ['percent-encoding', `Bearer ${ALICE.replace('.', '%2e')}`, '400'],
    ['a comment', `Bearer ${ALICE} (x)`, '400'],
    ['no token', 'Bearer', '400'],
    ['no token, and a space', 'Bearer ', '400'],
    ['no scheme', ALICE, '401'],
    ['another scheme', `DPoP ${ALICE}`, '401'],
    ['another scheme', `Basic ${ALICE}`, '401'],
    ['a scheme that begins alike', `BearerX ${ALICE}`, '401'],
    ['the scheme in any case', `bEaReR ${ALICE}`, 'alice'],
    ['the scheme twice', `Bearer Bearer ${ALICE}`, '400'],
    ['nothing', '', '401'],
  ])('%s [E2, E3]', async (_, value, outcome) => {
    expect(await outcomeOf([`Authorization: ${value}`, ...END])).toBe(outcome)
  })
})

describe('what breaks the syntax is refused, or read as one clean field [E5]', () => {
  it.each<readonly [string, readonly string[], readonly string[]]>([
    ['obs-fold in the value', [`Authorization: Bearer\r\n ${ALICE}`, ...END], ['400']],
    ['obs-fold after it', [`${good}\r\n , Bearer ${BOB}`, ...END], ['400']],
    ['obs-fold of an empty line', [`${good}\r\n  `, ...END], ['400', 'alice']],
    ['a space before the colon', [`Authorization : Bearer ${ALICE}`, ...END], ['400']],
    ['a tab before the colon', [`Authorization\t: Bearer ${ALICE}`, ...END], ['400']],
    ['a space before the name', [` Authorization: Bearer ${ALICE}`, ...END], ['400']],
    ['no space after the colon', [`Authorization:Bearer ${ALICE}`, ...END], ['alice']],
    ['a bare CR', [`Authorization: Bearer ${ALICE}\rX: y`, ...END], ['400']],
    ['a bare LF', [`Authorization: Bearer ${ALICE}\nX: y`, ...END], ['400', 'alice']],
    [
      'a bare LF before a second line',
      [`Authorization: Bearer ${ALICE}\nAuthorization: Bearer ${BOB}`, ...END],
      ['400'],
    ],
    ['NUL in the value', [`Authorization: Bearer ${ALICE}\0`, ...END], ['400']],
    ['NUL in the name', [`Authorization\0: Bearer ${ALICE}`, ...END], ['400']],
    ['DEL in the value', [`Authorization: Bearer ${ALICE}\x7f`, ...END], ['400']],
    ['a control character in the value', [`Authorization: Bearer \x01${ALICE}`, ...END], ['400']],
    ['a name with an underscore', [`Authorization_: Bearer ${ALICE}`, ...END], ['401']],
    ['a name of HTTP_', [`HTTP_AUTHORIZATION: Bearer ${ALICE}`, ...END], ['401']],
    ['a name with a character before', [`!Authorization: Bearer ${ALICE}`, ...END], ['401']],
    ['a length and chunks', [good, 'Content-Length: 5', 'Transfer-Encoding: chunked', 'Connection: close'], ['400']],
    ['two lengths', [good, 'Content-Length: 0', 'Content-Length: 5', 'Connection: close'], ['400']],
    ['a negative length', [good, 'Content-Length: -1', 'Connection: close'], ['400']],
    ['chunks that are none', [good, 'Transfer-Encoding: xchunked', 'Connection: close'], ['400', 'alice']],
    ['chunks twice', [good, 'Transfer-Encoding: chunked, chunked', 'Connection: close'], ['400', 'alice']],
    ['a second host', [good, 'Host: evil', ...END], ['400', 'alice']],
    [
      '64 fields of 8 KiB',
      [good, ...Array.from({ length: 64 }, (_, i) => `X-${i}: ${'x'.repeat(8_192)}`), ...END],
      ['431'],
    ],
    ['two thousand fields', [good, ...Array.from({ length: 1_900 }, (_, i) => `X${i}: y`), ...END], ['alice', '431']],
  ])('%s [E5]', async (_, lines, outcomes) => {
    expect(outcomes).toContain(await outcomeOf(lines))
  })

  it('a request that is smuggled behind another one is answered as one without a token [E5]', async () => {
    const inner = requestOf('/smuggled', [])
    const outer = `POST / HTTP/1.1\r\nHost: a\r\n${good}\r\nContent-Length: ${inner.length}\r\nConnection: keep-alive\r\n\r\n${inner}`
    expect(statuses(await exchange(service.port, outer + inner, () => false))).toEqual([200, 401])
    expect(subjects).toEqual(['alice'])
  })

  it('HTTP/1.0 and HTTP/0.9 are asked for a token, too [E5]', async () => {
    for (const message of ['GET / HTTP/1.0\r\n\r\n', 'GET /\r\n\r\n', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n']) {
      expect(statuses(await exchange(service.port, message, () => false))).not.toContain(200)
    }
    expect(subjects).toEqual([])
    expect(statuses(await exchange(service.port, `GET / HTTP/1.0\r\n${good}\r\n\r\n`, () => false))).toEqual([200])
  })
})

describe('what an outsider says about a token means nothing [E6]', () => {
  it.each([
    'X-Token-Verified: true',
    'X-Auth-Token-Verified: true',
    'X-Authenticated-User: root',
    'X-Forwarded-User: root',
    'X-Forwarded-Access-Token: TOKEN',
    'X-Original-Authorization: Bearer TOKEN',
    'Proxy-Authorization: Bearer TOKEN',
    'Txn-Token: TOKEN',
    'X-Sealed-Token: TOKEN',
    'Forwarded: for=127.0.0.1;by=otel-token-relay',
    'Baggage: auth.token.verified=true,otel-token-relay=TOKEN,otel-token-relay%20credential=TOKEN',
    'Tracestate: otel-token-relay=verified,auth@otr=TOKEN',
    'Cookie: access_token=TOKEN; authorization=Bearer%20TOKEN',
    'X-HTTP-Method-Override: OPTIONS',
    'X-Original-URL: /sink/x',
    'X-Rewrite-URL: /sink/x',
  ])('%s [E6]', async (template) => {
    const line = template.replaceAll('TOKEN', ALICE)
    expect(await outcomeOf([line, ...END])).toBe('401')
    expect(await outcomeOf([line, bad, ...END])).toBe('401')
    expect(await outcomeOf([line, bob, ...END])).toBe('bob')
  })
})
