/** How a test issuer fails. */

import type { IncomingMessage, ServerResponse } from 'node:http'

/** What each kind of outage does. */
export const OUTAGES = {
  refused: 'its port is closed: connections are refused',
  reset: 'each request is answered by closing its connection',
  hangs: 'requests are accepted and never answered',
  'slow-headers': 'the answer begins, and its header never ends',
  'slow-body': 'the answer announces a body, sends its first byte, and then nothing',
  'endless-body': 'the body of the answer never ends, as fast as it is read',
  truncated: 'the connection closes in the middle of a body',
  '429': 'each answer is 429, with Retry-After',
  '500': 'each answer is 500',
  '503': 'each answer is 503, with Retry-After',
  html: 'each answer is a page with status 200, as a proxy or a login sends it',
  'not-json': 'each answer is 200 and calls itself JSON, and is none',
  redirect: 'each answer is a redirect, to a place of the same issuer that does not exist',
  'empty-keys': 'the key set has no keys; everything else works',
  'wrong-issuer': 'the metadata are those of another issuer; everything else works',
} as const satisfies Readonly<Record<string, string>>

/** A name of an outage. */
export type OutageKind = keyof typeof OUTAGES

type Fail = (response: ServerResponse, request: IncomingMessage) => void

const PAGE = '<!doctype html><title>Sign in</title><p>Please sign in.</p>'

function answer(status: number, headers: Readonly<Record<string, string>>, body = ''): Fail {
  return (response) => void response.writeHead(status, headers).end(body)
}

const JSON_TYPE = { 'content-type': 'application/json' }

/** The outages in which every request fails alike. `refused` has no server, and the last two change documents. */
export const FAILURES: Readonly<Partial<Record<OutageKind, Fail>>> = {
  reset: (_, request) => void request.socket.destroy(),
  hangs: () => undefined,
  'slow-headers': (_, request) => void request.socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-'),
  'slow-body': (response) => void response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' }).write('{'),
  'endless-body': (response) => writeForEver(response.writeHead(200, JSON_TYPE)),
  truncated(response, request) {
    response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' })
    response.write('{"keys":[', () => request.socket.destroy())
  },
  '429': answer(429, { ...JSON_TYPE, 'retry-after': '1' }, '{"error":"slow_down"}'),
  '500': answer(500, JSON_TYPE, '{"error":"server_error"}'),
  '503': answer(503, { ...JSON_TYPE, 'retry-after': '1' }, '{"error":"temporarily_unavailable"}'),
  html: answer(200, { 'content-type': 'text/html' }, PAGE),
  'not-json': answer(200, JSON_TYPE, PAGE),
  redirect: answer(302, { location: '/elsewhere' }),
}

const CHUNK = ' '.repeat(65_536)

/** White space, which JSON may begin with. Waits for the reader, so that it takes no memory. */
function writeForEver(response: ServerResponse): void {
  const write = (): void => {
    while (!response.destroyed && response.write(CHUNK));
  }
  response.on('drain', write)
  write()
}
