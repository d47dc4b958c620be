/** A1 Requests that an application emits itself: the same one has been let in, another one has not, whatever they share. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

let service: Service | undefined
afterEach(async () => {
  await service?.[Symbol.asyncDispose]()
  service = undefined
})

/** A service whose public path hands on what `next` makes of its request. */
async function startHandingOn(next: (request: IncomingMessage) => IncomingMessage): Promise<Service> {
  const handled = new Set<IncomingMessage>()
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    if (handled.size > 0) return void response.end(`handled ${request.url}`)
    const other = next(request)
    handled.add(request)
    service?.server.emit('request', other, response)
  }
  return startService({ handler })
}

const inner = (request: IncomingMessage): IncomingMessage => Object.create(request, { url: { value: '/inner' } })

it.each([
  ['another one with the same fields is asked for its token', 'garbage', /^HTTP\/1.1 401/],
  ['and let in with a good one', undefined, /^HTTP\/1.1 200 OK.*handled \/inner/s],
])('%s', async (_, token, answer) => {
  service = await startHandingOn(inner)
  expect(await service.send([bearer(token ?? tokenOf())], '/sink/batch')).toMatch(answer)
})

it('the same one is not asked again', async () => {
  service = await startHandingOn((request) => request)
  expect(await service.send([bearer('garbage')], '/sink/batch')).toMatch(/^HTTP\/1.1 200 OK.*handled \/sink\/batch/s)
})
