/** A third party's API: useful, called by our services, and not named as a destination for tokens. */

import { createServer } from 'node:http'
import { keepLatest } from './keep-latest.ts'
import { close, listen } from './loopback.ts'

export interface ThirdParty extends AsyncDisposable {
  readonly url: string
  /** What it received: the latest 100 requests. */
  readonly requests: readonly ReceivedRequest[]
}

export interface ReceivedRequest {
  readonly path: string
  /** Names and values of the header fields, alternating. */
  readonly rawHeaders: readonly string[]
}

const MAX_REQUESTS = 100

export async function startThirdParty(): Promise<ThirdParty> {
  const requests: ReceivedRequest[] = []

  const server = createServer((request, response) => {
    keepLatest(requests, [{ path: request.url ?? '', rawHeaders: request.rawHeaders }], MAX_REQUESTS)
    const body = request.url === '/weather' ? { weather: 'sunny' } : { picture: 'a smiling face' }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })

  return { url: await listen(server), requests, [Symbol.asyncDispose]: () => close(server) }
}
