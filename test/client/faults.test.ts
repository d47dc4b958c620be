/** Every fault of a service is one error with a code, never a hang, and is retried only if that may help. */

import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createServiceClient, get, head, post, put, ServiceError, ServiceScopeError } from '../../src/client/index.ts'
import type { Reply, Service } from '../support/scripted-service.ts'
import { json, startService } from '../support/scripted-service.ts'

const Profile = z.object({ name: z.string() })
const retry = { baseDelayMillis: 1, maxDelayMillis: 2 }
let service: Service

beforeEach(async () => {
  service = await startService()
})
afterEach(() => service[Symbol.asyncDispose]())

function clientOf(options: object = {}, baseUrl = service.origin) {
  return createServiceClient({
    baseUrl,
    retry,
    ...options,
    endpoints: {
      read: get('/profiles/{id}', { response: Profile }),
      write: put('/profiles/{id}', { body: Profile }),
      create: post('/profiles', { body: Profile, response: Profile }),
      createOnce: post('/profiles', { body: Profile, response: Profile, idempotent: true }),
      exists: head('/profiles/{id}'),
      maybe: get('/profiles/{id}', { response: Profile.optional() }),
    },
  })
}

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ServiceError) return error
  throw new Error('no ServiceError', { cause: error })
}

const READ = { id: 'a' }
const BODY = { body: { name: 'Ada' } }

describe('a client of a service that answers', () => {
  it('returns the output of the validator', async () => {
    service.answer((response) => json(response, { name: 'Ada', more: 1 }))
    expect(await clientOf().read(READ)).toEqual({ name: 'Ada' })
    expect(service.asked).toMatchObject([
      { method: 'GET', target: '/profiles/a', headers: { accept: 'application/json' } },
    ])
  })

  it('sends the body as JSON, and does not read an answer that no schema describes', async () => {
    service.answer((response) => response.end('<html>'))
    expect(await clientOf().write({ id: 'a', ...BODY })).toBeUndefined()
    expect(service.asked).toMatchObject([
      { method: 'PUT', body: '{"name":"Ada"}', headers: { 'content-type': 'application/json' } },
    ])
  })

  it('sends HEAD, and fails with the status of a 404', async () => {
    expect(await clientOf().exists(READ)).toBeUndefined()
    service.answer((response) => response.writeHead(404).end())
    expect(await failure(clientOf().exists(READ))).toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 404 })
  })

  it('accepts a 204 if the validator accepts undefined', async () => {
    service.answer((response) => response.writeHead(204).end())
    expect(await clientOf().maybe(READ)).toBeUndefined()
    expect(await failure(clientOf().read(READ))).toMatchObject({ code: 'ERR_SERVICE_RESPONSE_BODY', status: 204 })
  })

  it('keeps its connection through errors and unread answers', async () => {
    const client = clientOf({ retry: false })
    service.answer((response, n) => {
      response.writeHead(n % 2 === 0 ? 503 : 200).write('x'.repeat(20_000))
      setTimeout(() => response.end('x'.repeat(20_000)), 5)
    })
    for (let i = 0; i < 6; i += 1) await client.write({ id: 'a', ...BODY }).catch(() => undefined)
    expect(service.asked).toHaveLength(6)
    // undici may open a second one before the first is free again.
    expect(service.connections()).toBeLessThanOrEqual(2)
  })
})

const WRONG: readonly (readonly [string, Reply, string])[] = [
  ['HTML', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'), 'RESPONSE_TYPE'],
  ['no content type', (response) => response.writeHead(200).end('{"name":"Ada"}'), 'RESPONSE_TYPE'],
  ['broken JSON', (response) => response.setHeader('content-type', 'application/json').end('{"name'), 'RESPONSE_BODY'],
  [
    'a byte order mark',
    (response) => response.setHeader('content-type', 'application/json').end('\ufeff{}'),
    'RESPONSE_BODY',
  ],
  ['what the validator refuses', (response) => json(response, { name: 1 }), 'RESPONSE_BODY'],
  ['a huge body', (response) => json(response, { name: 'x'.repeat(20_000) }), 'RESPONSE_SIZE'],
  [
    'a small body that becomes huge',
    (response) =>
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        .end(gzipSync(JSON.stringify({ name: 'x'.repeat(200_000) }))),
    'RESPONSE_SIZE',
  ],
]

describe('a response that does not match the endpoint', () => {
  it.each(WRONG)('%s is an error, and is not retried', async (_, reply, code) => {
    service.answer(reply)
    const error = await failure(clientOf({ maxResponseBytes: 10_000 }).read(READ))
    expect(error).toMatchObject({ code: `ERR_SERVICE_${code}`, status: 200, retryable: false, endpoint: 'read' })
    expect(service.asked).toHaveLength(1)
  })

  it('of a redirect is an error with its status, and is not followed', async () => {
    await using other = await startService()
    service.answer((response) => response.writeHead(302, { location: `${other.origin}/` }).end())
    expect(await failure(clientOf().read(READ))).toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 302 })
    expect([service.asked.length, other.asked.length]).toEqual([1, 0])
  })
})

describe('a call that fails', () => {
  it.each([408, 425, 429, 502, 503, 504])('with %s is retried', async (status) => {
    service.answer((response, n) => (n < 3 ? response.writeHead(status).end() : json(response, { name: 'Ada' })))
    expect(await clientOf().read(READ)).toEqual({ name: 'Ada' })
    expect(service.asked).toHaveLength(3)
  })

  it('is retried after a connection reset, before or during the answer', async () => {
    service.answer((response, n) => {
      if (n === 1) return void response.socket?.resetAndDestroy()
      if (n === 3) return json(response, { name: 'Ada' })
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{"na')
      return void setImmediate(() => response.socket?.resetAndDestroy())
    })
    expect(await clientOf().read(READ)).toEqual({ name: 'Ada' })
    expect(service.asked).toHaveLength(3)
  })

  it('ends after the allowed number of attempts, with the last status', async () => {
    service.answer((response) => response.writeHead(503).end())
    const error = await failure(clientOf({ retry: { ...retry, maxAttempts: 4 } }).read(READ))
    expect(error).toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 503, retryable: true })
    expect(service.asked).toHaveLength(4)
  })

  it.each([400, 401, 404, 409, 500, 501])('with %s is not retried', async (status) => {
    service.answer((response) => response.writeHead(status).end())
    expect(await failure(clientOf().read(READ))).toMatchObject({ status, retryable: false })
    expect(service.asked).toHaveLength(1)
  })

  it('with POST is not retried, unless the endpoint is idempotent', async () => {
    service.answer((response) => response.writeHead(503).end())
    await failure(clientOf().create(BODY))
    expect(service.asked).toHaveLength(1)
    await failure(clientOf().createOnce(BODY))
    expect(service.asked).toHaveLength(4)
  })

  it('fails at once if Retry-After is past the deadline', async () => {
    service.answer((response) => response.writeHead(503, { 'retry-after': '60' }).end())
    expect(await failure(clientOf({ timeoutMillis: 30_000 }).read(READ))).toMatchObject({ status: 503 })
    expect(service.asked).toHaveLength(1)
  })
})

describe('a call without an answer', () => {
  it('is a network error if the service is down', async () => {
    const { origin } = service
    await service[Symbol.asyncDispose]()
    const error = await failure(clientOf({}, origin).read(READ))
    expect(error).toMatchObject({ code: 'ERR_SERVICE_NETWORK', status: undefined, retryable: true })
    expect(error.cause).toBeUndefined()
    service = await startService()
  })

  it('is a network error if the service speaks another protocol', async () => {
    const server = createServer((socket) =>
      socket.on('error', () => undefined).end('SSH-2.0-x\r\n', () => socket.destroy()),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const error = await failure(clientOf({}, `http://127.0.0.1:${port}`).read(READ))
    expect(error.code).toBe('ERR_SERVICE_NETWORK')
    await new Promise((resolve) => server.close(resolve))
  })

  it('times out, with or without retries, also in the middle of the body', async () => {
    service.answer(() => undefined)
    expect(await failure(clientOf({ timeoutMillis: 50 }).read(READ))).toMatchObject({ code: 'ERR_SERVICE_TIMEOUT' })
    service.answer((response) => response.writeHead(200, { 'content-type': 'application/json' }).write('{"na'))
    expect(await failure(clientOf().read(READ, { timeoutMillis: 50 }))).toMatchObject({ code: 'ERR_SERVICE_TIMEOUT' })
  })

  it('succeeds after a time-out of its first attempt', async () => {
    service.answer((response, n) => void (n > 1 && json(response, { name: 'Ada' })))
    expect(await clientOf({ attemptTimeoutMillis: 200 }).read(READ)).toEqual({ name: 'Ada' })
    expect(service.asked).toHaveLength(2)
  })

  it('ends when the caller aborts, before and during the call', async () => {
    service.answer(() => undefined)
    const gone = new AbortController()
    const call = failure(clientOf().read(READ, { signal: gone.signal }))
    await service.arrived(1)
    gone.abort(new Error('secret'))
    expect(await call).toMatchObject({ code: 'ERR_SERVICE_ABORTED', retryable: false })
    expect((await call).cause).toBeUndefined()
    expect(await failure(clientOf().read(READ, { signal: gone.signal }))).toMatchObject({ code: 'ERR_SERVICE_ABORTED' })
    expect(service.asked).toHaveLength(1)
  })
})

describe('a 403', () => {
  const challenge =
    (value: string): Reply =>
    (response) =>
      response.writeHead(403, { 'www-authenticate': value }).end()

  it('with insufficient_scope names the scopes', async () => {
    service.answer(
      challenge('DPoP algs="ES256", Bearer realm="a, b", error="insufficient_scope", scope="a:read b:write"'),
    )
    const error = await failure(clientOf().read(READ))
    expect(error).toBeInstanceOf(ServiceScopeError)
    expect(error).toMatchObject({ code: 'ERR_SERVICE_SCOPE', status: 403, requiredScopes: ['a:read', 'b:write'] })
  })

  it.each([
    ['no challenge of that kind', 'Bearer error="invalid_token"'],
    ['another scheme', 'Basic error="insufficient_scope", scope="a"'],
    ['the words in a text', 'Basic realm="Bearer error=\\"insufficient_scope\\", scope=\\"a\\""'],
    ['more than anybody reads', `Bearer error="insufficient_scope", scope="${'a '.repeat(3_000)}"`],
  ])('with %s is a status', async (_, value) => {
    service.answer(challenge(value))
    expect(await failure(clientOf().read(READ))).toMatchObject({ code: 'ERR_SERVICE_STATUS', status: 403 })
  })

  it('takes only scopes from the challenge', async () => {
    service.answer(
      challenge(`Bearer error="insufficient_scope", scope="ok \\"no\\" n\u00e9 ${'x'.repeat(200)} ${'s '.repeat(99)}"`),
    )
    const error = await failure(clientOf().read(READ))
    expect(error).toMatchObject({ requiredScopes: ['ok', ...Array.from({ length: 31 }, () => 's')] })
  })
})

describe('a fallback', () => {
  const create = (fallback: (error: ServiceError, input: { readonly id: string | number }) => string) =>
    createServiceClient({
      baseUrl: service.origin,
      retry: false,
      endpoints: { read: get('/{id}', { response: z.string(), fallback }) },
    })

  it('returns a result in place of a failed call, and gets the input and the error', async () => {
    service.answer((response) => response.writeHead(500).end())
    expect(await create(({ status }, { id }) => `${id}: ${status}`).read(READ)).toBe('a: 500')
  })

  it('may fail itself', async () => {
    service.answer((response) => response.writeHead(404).end())
    const rethrow = (error: ServiceError): never => {
      throw error
    }
    await expect(create(rethrow).read(READ)).rejects.toMatchObject({ status: 404 })
  })

  it('is not called if the call was aborted or the input is wrong', async () => {
    const client = create(() => 'fallback')
    await expect(client.read(READ, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_SERVICE_ABORTED',
    })
    await expect(client.read({ id: '..' })).rejects.toThrow(TypeError)
  })
})
