/** A gRPC server without protection: records the metadata of every call, in all four kinds of streaming. */

import type { EventEmitter } from 'node:events'
import type {
  Client,
  Metadata,
  ServerCredentials,
  ServerDuplexStream,
  ServerInterceptor,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
} from '@grpc/grpc-js'
import { ServerCredentials as Credentials, makeClientConstructor, Server } from '@grpc/grpc-js'

const serialize = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const deserialize = (bytes: Buffer): unknown => JSON.parse(bytes.toString()) as unknown

function method(name: string, requestStream: boolean, responseStream: boolean) {
  const codec = { requestSerialize: serialize, requestDeserialize: deserialize }
  const answers = { responseSerialize: serialize, responseDeserialize: deserialize }
  return { path: `/test.Echo/${name}`, requestStream, responseStream, ...codec, ...answers }
}

/** JSON instead of protocol buffers: no schema is at stake here. */
export const ECHO = {
  unary: method('Unary', false, false),
  upload: method('Upload', true, false),
  download: method('Download', false, true),
  talk: method('Talk', true, true),
} satisfies ServiceDefinition

export const EchoClient = makeClientConstructor(ECHO, 'Echo')

interface EchoCall extends EventEmitter {
  write(message: unknown): unknown
  end(): unknown
  cancel(): void
}

/** What a client of {@link ECHO} is called with. */
export type Echo = Client & Record<keyof typeof ECHO, (...args: unknown[]) => EchoCall>

interface ReceivedCall {
  readonly method: string
  readonly authorization: readonly string[]
  readonly metadata: Metadata
}

export interface GrpcSinkOptions {
  readonly address?: string
  readonly credentials?: ServerCredentials
  readonly interceptors?: ServerInterceptor[]
  /** Called in the handler, with what it received; what it returns is sent back in every message. */
  readonly look?: (call: ReceivedCall) => unknown
  /** How many calls fail with UNAVAILABLE before the first one is served: in all, or of each value of `x-user`. */
  readonly failures?: number
  readonly failuresOfEachUser?: number
}

export interface GrpcSink {
  readonly port: number
  readonly received: ReceivedCall[]
  [Symbol.asyncDispose](): Promise<void>
}

export async function startGrpcSink(options: GrpcSinkOptions = {}): Promise<GrpcSink> {
  const { address = '127.0.0.1:0', look = () => 'ok', interceptors = [], failuresOfEachUser = 0 } = options
  const received: ReceivedCall[] = []
  const userOf = ({ metadata }: ReceivedCall): unknown => metadata.get('x-user')[0]
  let failures = options.failures ?? 0
  const server = new Server({ interceptors })

  function note(path: string, metadata: Metadata): { readonly failed: boolean; readonly answer: unknown } {
    const call = { method: path, authorization: metadata.get('authorization').map(String), metadata }
    const earlier = received.filter((other) => userOf(other) === userOf(call)).length
    received.push(call)
    failures -= 1
    return { failed: failures >= 0 || earlier < failuresOfEachUser, answer: look(call) }
  }
  const UNAVAILABLE = { code: 14, details: 'not yet' }
  server.addService(ECHO, {
    unary(call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) {
      const { failed, answer } = note('unary', call.metadata)
      callback(failed ? UNAVAILABLE : null, answer)
    },
    upload(call: ServerReadableStream<unknown, unknown>, callback: sendUnaryData<unknown>) {
      const { metadata } = call
      let answer: unknown
      call.on('data', () => {
        answer ??= note('upload', metadata).answer
      })
      call.on('end', () => callback(null, answer))
    },
    download(call: ServerWritableStream<unknown, unknown>) {
      const { answer } = note('download', call.metadata)
      for (let i = 0; i < 3; i += 1) call.write(answer)
      call.end()
    },
    talk(call: ServerDuplexStream<unknown, unknown>) {
      const { metadata } = call
      call.on('data', () => call.write(note('talk', metadata).answer))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, options.credentials ?? Credentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return {
    port,
    received,
    async [Symbol.asyncDispose]() {
      server.forceShutdown()
    },
  }
}

/** Makes one call of each kind: resolves with all that came back, rejects with the status. */
export function callEcho(client: Echo, kind: keyof typeof ECHO, ...args: unknown[]): Promise<readonly unknown[]> {
  return new Promise((resolve, reject) => {
    const messages: unknown[] = []
    const isUnary = kind === 'unary' || kind === 'upload'
    const finish = (error: unknown, message: unknown): void => (error ? reject(error) : resolve([message]))
    const takesMessage = kind === 'unary' || kind === 'download'
    const call = client[kind](...(takesMessage ? ['hello'] : []), ...args, ...(isUnary ? [finish] : []))
    if (!takesMessage) {
      call.write('hello')
      call.end()
    }
    if (isUnary) return
    call.on('data', (message) => messages.push(message))
    call.on('error', reject)
    call.on('end', () => resolve(messages))
  })
}
