/** A token that would make the header section too large stays, and the request is answered as if it had none. */

import { request as httpRequest } from 'node:http'
import { request as undiciRequest } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runWithToken } from '../../src/index.ts'
import type { Service } from '../support/service.ts'
import { startService, tokenOf } from '../support/service.ts'

type Headers = Readonly<Record<string, string>>
type Call = (url: string, headers: Headers) => Promise<number>

const CLIENTS: Readonly<Record<string, Call>> = {
  fetch: async (url, headers) => {
    const response = await fetch(url, { headers })
    await response.text()
    return response.status
  },
  undici: async (url, headers) => {
    const response = await undiciRequest(url, { headers })
    await response.body.text()
    return response.statusCode
  },
  http: (url, headers) =>
    new Promise((resolve, reject) => {
      httpRequest(url, { headers }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
        .on('error', reject)
        .end()
    }),
}

// What the sink, a server of Node.js with its default of 16 KiB, answers 431.
const LIMIT = 16_384
const TOKEN = tokenOf()
let service: Service
const start = async (rule: object = {}): Promise<void> => {
  service = await startService({ rule })
}
beforeEach(() => start())
afterEach(() => service[Symbol.asyncDispose]())

interface Outcome {
  readonly status: number
  readonly sent: boolean
  readonly reason: string | undefined
}
async function call(client: string, bytes: number, target = '/sink/x'): Promise<Outcome> {
  service.sink.clear()
  const headers = { 'x-fill': 'x'.repeat(bytes) }
  const status = await runWithToken(TOKEN, () => CLIENTS[client]?.(service.sink.origin + target, headers) ?? 0)
  return { status, sent: service.sink.received[0]?.authorization.length === 1, reason: undefined }
}

describe.each(Object.keys(CLIENTS))('%s', (client) => {
  it('sends the token if there is room', async () => {
    expect(await call(client, 10_000)).toMatchObject({ status: 200, sent: true })
  })

  it('never makes a server answer 431 that would have answered 200 without the token', async () => {
    const room = LIMIT - TOKEN.length
    const seen = new Set<string>()
    for (let bytes = room - 600; bytes < LIMIT - 300; bytes += 37) {
      const { status, sent } = await call(client, bytes)
      expect({ bytes, status }).toEqual({ bytes, status: 200 })
      seen.add(String(sent))
    }
    expect([...seen]).toEqual(['true', 'false'])
  })

  it('counts the target and every field', async () => {
    expect(await call(client, 8_000, `/sink/x?${'x'.repeat(8_000)}`)).toMatchObject({ status: 200, sent: false })
  })

  it('a rule can say what its destination reads', async () => {
    await service[Symbol.asyncDispose]()
    await start({ maxHeaderBytes: 2_000 })
    expect(await call(client, 10)).toMatchObject({ status: 200, sent: true })
    expect(await call(client, 2_000)).toMatchObject({ status: 200, sent: false })
  })
})
