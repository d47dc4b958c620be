/** `createTestDestination`: a server or a queue that keeps what it receives, for tests of where tokens go. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { DestinationOptions } from '../../config/destinations.ts'
import type { Certificate } from './certificate.ts'
import { createCertificate } from './certificate.ts'
import type { SinkOptions, TestAnswer } from './http-sink.ts'
import { createHttp2Sink, createHttpSink } from './http-sink.ts'
import type { TestQueue } from './queue.ts'
import { createQueue } from './queue.ts'
import type { Received } from './received.ts'
import { readReceived } from './received.ts'

/** Options of a test destination that is a server on the loopback interface. */
export interface TestServerOptions {
  /** `h2` is HTTP/2 over TLS, and `grpc` is gRPC in clear text. Default `http`. */
  readonly protocol?: 'http' | 'https' | 'h2' | 'grpc'
  /** The answer to every request, or a function of the request. Default: 200 and `{}`. */
  readonly answer?: TestAnswer | ((request: Received) => TestAnswer)
}

/** Options of a test destination that is a queue in memory. */
export interface TestQueueOptions {
  readonly protocol: 'queue'
  /** Its name in rules. Default: `kafka:` and a name that no other has. */
  readonly name?: string
}

/** A server that keeps what it receives. */
export interface TestServer extends AsyncDisposable {
  readonly protocol: 'http' | 'https' | 'h2' | 'grpc'
  /** `http://127.0.0.1:…`, as `fetch` takes it; `grpc://127.0.0.1:…` of gRPC. */
  readonly origin: string
  /** `127.0.0.1:…`, as clients of gRPC take it. */
  readonly address: string
  /** The entry of `destinations` that names it. */
  readonly entry: DestinationOptions
  /** The certificate to trust, in PEM: `ca` of `https.request`, `http2.connect` and an `Agent` of undici. */
  readonly ca: string | undefined
  /** What it has received, the oldest first. */
  readonly received: readonly Received[]
  /** Every byte that came over its connections, with the texts of tokens; of `http` and `https` only. */
  bytes(): Buffer
}

/** What {@link createTestDestination} returns. */
export type TestDestination = TestServer | TestQueue

let queues = 0

/**
 * Starts a server on `127.0.0.1`, or creates a queue in memory, that keeps all that it receives. It is not part of the
 * service: no gate stands in front of it, and it verifies nothing. `await using` ends it with the test.
 *
 * @throws TypeError if the protocol is none of these.
 */
export function createTestDestination(options: TestQueueOptions): Promise<TestQueue>
export function createTestDestination(options?: TestServerOptions): Promise<TestServer>
export async function createTestDestination(
  options: TestServerOptions | TestQueueOptions = {},
): Promise<TestDestination> {
  if (options.protocol !== 'queue') return await startServer(options)
  queues += 1
  return createQueue(options.name ?? `kafka:test-${queues}`)
}

const SCHEMES = { http: 'http', https: 'https', h2: 'https', grpc: 'grpc' } as const

async function startServer({ protocol = 'http', answer = {} }: TestServerOptions): Promise<TestServer> {
  if (!Object.hasOwn(SCHEMES, protocol)) throw new TypeError('protocol: expected http, https, h2, grpc or queue')
  const certificate: Certificate | undefined = SCHEMES[protocol] === 'https' ? createCertificate() : undefined
  const received: Received[] = []
  const chunks: Buffer[] = []
  const options: SinkOptions = {
    certificate,
    record: (raw) => void received.push(readReceived(raw)),
    recordBytes: (chunk) => void chunks.push(chunk),
    answer: () => (typeof answer === 'function' ? answer(received.at(-1) as Received) : answer),
  }
  const isHttp2 = protocol === 'h2' || protocol === 'grpc'
  const { server, close } = isHttp2 ? createHttp2Sink(options, protocol === 'grpc') : createHttpSink(options)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const origin = `${SCHEMES[protocol]}://${address}`
  return {
    ...{ protocol, origin, address, entry: { to: origin }, ca: certificate?.cert, received },
    bytes: () => Buffer.concat(chunks),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      close()
      await closed
    },
  }
}
