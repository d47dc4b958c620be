/** HTTP/2 fields as no client library would send them, written frame by frame (RFC 9113, RFC 7541). */

import { once } from 'node:events'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import { listen } from '../support/issuer.ts'
import type { Service } from '../support/service.ts'
import { startService, tokenOf } from '../support/service.ts'

const ALICE = tokenOf()
const BOB = tokenOf({ sub: 'bob' })
type Field = readonly [name: string, value: string]

let service: Service
let compat: http2.Http2Server
let core: http2.Http2Server
const ports: Record<string, number> = {}
const subjects: string[] = []
const see = (): void => void subjects.push(String(getActiveCredential()?.subject))

beforeAll(async () => {
  service = await startService({ options: { ingress: { publicPaths: ['/health'] } } })
  compat = http2.createServer((_, response) => {
    see()
    response.end()
  })
  core = http2.createServer()
  core.on('stream', (stream) => {
    see()
    stream.respond({ ':status': 200 }, { endStream: true })
  })
  ports['compat'] = await listen(compat as never)
  ports['core'] = await listen(core as never)
})
afterAll(async () => {
  for (const server of [compat, core]) await new Promise((resolve) => server.close(resolve))
  await service[Symbol.asyncDispose]()
})
beforeEach(() => {
  subjects.length = 0
})

/** HPACK: literal fields that are never indexed, without Huffman coding. */
function encode(fields: readonly Field[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1')
    return Buffer.concat([integer(bytes.length), bytes])
  }
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]))
}
function integer(value: number): Buffer {
  const bytes = [Math.min(value, 127)]
  for (let rest = value - 127; rest >= 0; rest = rest < 128 ? -1 : rest >> 7)
    bytes.push(rest < 128 ? rest : (rest & 127) | 128)
  return Buffer.from(bytes)
}
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** The status of a request with exactly these fields, or how the server ended the stream. */
async function send(port: number, fields: readonly Field[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  const end = 0x1 | 0x4
  socket.write(
    Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0), frame(1, end, 1, encode(fields))]),
  )
  let received = Buffer.alloc(0)
  try {
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer])
      for (const { type, payload } of framesOf(received)) {
        if (type === 1) return statusOf(payload)
        if (type === 3) return 'reset'
        if (type === 7) return 'goaway'
      }
    }
    return 'closed'
  } catch {
    return 'closed'
  } finally {
    socket.destroy()
  }
}
function* framesOf(bytes: Buffer): Generator<{ readonly type: number; readonly payload: Buffer }> {
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    if (at + 9 + length > bytes.length) return
    yield { type: bytes.readUInt8(at + 3), payload: bytes.subarray(at + 9, at + 9 + length) }
    at += 9 + length
  }
}
/** The static table has 200 and 400 (RFC 7541 appendix A); other statuses are literals, with Huffman coding where shorter. */
function statusOf(payload: Buffer): string {
  const indexed: Readonly<Record<number, string>> = { 136: '200', 140: '400' }
  const huffman: Readonly<Record<string, string>> = { '6801': '401' }
  const first = payload[0] ?? 0
  if (first in indexed) return indexed[first] ?? ''
  const length = payload[1] ?? 0
  const value = payload.subarray(2, 2 + (length & 0x7f))
  return length & 0x80 ? (huffman[value.toString('hex')] ?? value.toString('hex')) : value.toString()
}

const request = (path: string, ...fields: readonly Field[]): readonly Field[] => [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'service'],
  [':path', path],
  ...fields,
]
const bearer = (token: string, name = 'authorization'): Field => [name, `Bearer ${token}`]

describe.each(['compat', 'core'])('%s', (kind) => {
  const ask = (fields: readonly Field[]): Promise<string> => send(ports[kind] ?? 0, fields)

  it('one clean field is one token', async () => {
    expect(await ask(request('/', bearer(ALICE)))).toBe('200')
    expect(await ask(request('/'))).toBe('401')
    expect(subjects).toEqual(['alice'])
  })

  it.each<readonly [string, readonly Field[]]>([
    ['two tokens [E1]', [bearer(ALICE), bearer(BOB)]],
    ['the same token twice [E1]', [bearer(ALICE), bearer(ALICE)]],
    ['another scheme first [E1]', [['authorization', 'Basic eDp5'], bearer(ALICE)]],
    ['another scheme last [E1]', [bearer(ALICE), ['x', 'y'], ['authorization', 'Basic eDp5']]],
    ['an empty one [E1]', [bearer(ALICE), ['authorization', '']]],
    ['a name in upper case [E1]', [bearer(ALICE, 'Authorization')]],
    ['a name in upper case beside [E1]', [bearer(ALICE), bearer(BOB, 'AUTHORIZATION')]],
    ['a comma list [E2]', [['authorization', `Bearer ${ALICE}, Bearer ${BOB}`]]],
    ['a tab [E2]', [['authorization', `Bearer\t${ALICE}`]]],
    ['latin-1 [E2]', [['authorization', `Bearer ${ALICE}\u00e4`]]],
    ['a no-break space [E2]', [['authorization', `Bearer \u00a0${ALICE}`]]],
    ['the scheme alone [E3]', [['authorization', 'Bearer']]],
    ['another scheme [E3]', [['authorization', `DPoP ${ALICE}`]]],
    ['proxy-authorization [E4]', [['proxy-authorization', `Bearer ${ALICE}`]]],
    ['a cookie [E4]', [['cookie', `access_token=${ALICE}`]]],
    ['CR LF in the value [E5]', [['authorization', `Bearer ${ALICE}\r\nx: y`]]],
    ['NUL in the value [E5]', [['authorization', `Bearer ${ALICE}\0`]]],
    ['a space before the name [E5]', [bearer(ALICE, ' authorization')]],
    ['a colon in the name [E5]', [bearer(ALICE, 'authorization:')]],
    ['an invented pseudo-header [E5]', [bearer(ALICE, ':authorization')]],
    [
      'a hint about its token [E6]',
      [
        ['x-token-verified', 'true'],
        ['x-authenticated-user', 'root'],
      ],
    ],
    [
      'connection-specific fields [E5]',
      [
        ['connection', 'authorization'],
        ['transfer-encoding', 'chunked'],
      ],
    ],
  ])('lets no caller in: %s', async (_, fields) => {
    expect(await ask(request('/', ...fields))).not.toBe('200')
    expect(subjects).toEqual([])
  })

  it.each([
    '//health',
    '/health/',
    '/%68ealth',
    '/health#x',
    '/health;x',
    '/x/../health',
    'http://service/health',
    'health',
    '*',
    '',
    ' /health',
    '/health ',
    '/health\t',
    '\\health',
    '/HEALTH',
  ])('a :path of %j is not public [E14]', async (path) => {
    expect(await ask(request(path))).not.toBe('200')
    expect(subjects).toEqual([])
    expect(await ask(request('/health'))).toBe('200')
    expect(subjects).toEqual(['undefined'])
  })

  it('a second :path, or one that comes late, does not open another one', async () => {
    expect(await ask([...request('/'), [':path', '/health']])).not.toBe('200')
    expect(await ask([...request('/health'), [':path', '/']])).not.toBe('200')
    expect(
      await ask([
        [':method', 'CONNECT'],
        [':authority', 'service:80'],
      ]),
    ).not.toBe('200')
    expect(subjects.filter((subject) => subject !== 'undefined')).toEqual([])
  })
})
