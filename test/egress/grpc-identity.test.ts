/** Callers that share one gRPC channel: each call leaves with its own caller's token, and comes back to that caller. */

import type { Interceptor } from '@grpc/grpc-js'
import { credentials, InterceptingCall, Metadata, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import type { Echo, GrpcSink } from '../support/grpc.ts'
import { callEcho, ECHO, EchoClient, startGrpcSink } from '../support/grpc.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const USERS = 50
const KINDS = Object.keys(ECHO) as (keyof typeof ECHO)[]
const signer = createSigner()
const tokens = Array.from({ length: USERS }, (_, i) => signer.token(goodClaims(ISSUER, { sub: `user-${i}` })))

let sink: GrpcSink
let relay: TokenRelay
beforeAll(async () => {
  sink = await startGrpcSink({ look: ({ metadata }) => metadata.get('x-user')[0] ?? 'shared' })
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: `grpc://127.0.0.1:${sink.port}` }] })
})
beforeEach(() => {
  sink.received.length = 0
})
afterAll(async () => {
  await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})

function clientOf(target: string, interceptors: Interceptor[] = []): Echo & Disposable {
  const client = new EchoClient(target, credentials.createInsecure(), { interceptors }) as unknown as Echo
  return Object.assign(client, { [Symbol.dispose]: () => client.close() })
}

function metadataOf(user: number, waitForReady = false): Metadata {
  const metadata = new Metadata({ waitForReady })
  metadata.set('x-user', `user-${user}`)
  return metadata
}

const subject = (): string | undefined => getActiveCredential()?.subject

/** Calls whose token is not that of the user who is named in the metadata. */
function mixedUp({ received }: GrpcSink): readonly (string | undefined)[] {
  return received
    .map(({ metadata, authorization }) => [metadata.get('x-user')[0], authorization] as const)
    .filter(([user, [value]]) => value !== `Bearer ${tokens[Number(String(user).replace('user-', ''))]}`)
    .map(([user]) => String(user))
}

/** Makes one call as each user, all at once, and lists the users whose callbacks ran as somebody else. */
async function asEveryUser(call: (user: number) => Promise<readonly unknown[]>): Promise<readonly unknown[]> {
  const users = tokens.map((token, user) => runWithToken(token, () => call(user)))
  const seen = await Promise.all(users)
  return seen.flatMap((subjects, user) => subjects.filter((each) => each !== `user-${user}`))
}

/** A unary call that tells who the caller is in the callbacks of grpc-js, where no promise restores the context. */
function look(client: Echo, kind: keyof typeof ECHO, metadata: Metadata): Promise<readonly unknown[]> {
  return new Promise((resolve, reject) => {
    const seen: unknown[] = []
    const finish = (error: unknown): void => (error ? reject(error) : resolve([...seen, subject()]))
    const takesMessage = kind === 'unary' || kind === 'download'
    const isUnary = kind === 'unary' || kind === 'upload'
    const call = client[kind](...(takesMessage ? ['a'] : []), metadata, ...(isUnary ? [finish] : []))
    for (const event of ['metadata', 'status']) call.on(event, () => seen.push(subject()))
    if (!isUnary) {
      call.on('data', (message) => seen.push(subject(), message))
      call.on('error', reject)
      call.on('end', () => finish(null))
    }
    if (takesMessage) return
    call.write('a')
    call.end()
  })
}

describe('interleaved callers on one channel [F12]', () => {
  it.each(KINDS)('that is still connecting, of kind %s', async (kind) => {
    using client = clientOf(`127.0.0.1:${sink.port}`)
    expect(await asEveryUser((user) => look(client, kind, metadataOf(user)))).toEqual([])
    expect(sink.received).toHaveLength(USERS)
    expect(mixedUp(sink)).toEqual([])
    // Again, over the connection that one of them has opened.
    expect(await asEveryUser((user) => look(client, kind, metadataOf(user)))).toEqual([])
    expect(mixedUp(sink)).toEqual([])
  })

  it('whose server comes later than their calls', async () => {
    const placeholder = await startGrpcSink()
    await placeholder[Symbol.asyncDispose]()
    const { port } = placeholder
    using client = clientOf(`127.0.0.1:${port}`)
    await relay.shutdown()
    relay = createTokenRelay({
      ...optionsFor([signer.jwk]),
      destinations: [{ to: `grpc://127.0.0.1:${port}` }, { to: `grpc://127.0.0.1:${sink.port}` }],
    })
    const called = asEveryUser((user) => look(client, 'unary', metadataOf(user, true)))
    await expect.poll(() => client.getChannel().getConnectivityState(false)).toBe(3)
    await using late = await startGrpcSink({ address: `127.0.0.1:${port}` })
    expect(await called).toEqual([])
    expect(late.received).toHaveLength(USERS)
    expect(mixedUp(late)).toEqual([])
  })

  it('through an interceptor that starts calls later, from a queue of all callers', async () => {
    const queue: (() => void)[] = []
    const delaying: Interceptor = (options, nextCall) =>
      new InterceptingCall(nextCall(options), {
        start(metadata, listener, next) {
          queue.push(() => next(metadata, listener))
          if (queue.length === USERS) for (const start of queue.splice(0).reverse()) start()
        },
      })
    using client = clientOf(`127.0.0.1:${sink.port}`, [delaying])
    expect(await asEveryUser((user) => look(client, 'unary', metadataOf(user)))).toEqual([])
    expect(sink.received).toHaveLength(USERS)
    expect(mixedUp(sink)).toEqual([])
  })

  it('through an interceptor that calls again when a call has failed', async () => {
    await using flaky = await startGrpcSink({ failuresOfEachUser: 1 })
    await relay.shutdown()
    relay = createTokenRelay({
      ...optionsFor([signer.jwk]),
      destinations: [{ to: `grpc://127.0.0.1:${flaky.port}` }, { to: `grpc://127.0.0.1:${sink.port}` }],
    })
    using client = clientOf(`127.0.0.1:${flaky.port}`, [retrying])
    expect(await asEveryUser((user) => look(client, 'unary', metadataOf(user)))).toEqual([])
    expect(flaky.received).toHaveLength(2 * USERS)
    expect(mixedUp(flaky)).toEqual([])
  })

  it('who send one metadata object', async () => {
    using client = clientOf(`127.0.0.1:${sink.port}`)
    const shared = new Metadata()
    await asEveryUser(() => callEcho(client, 'unary', shared))
    const sent = sink.received.flatMap(({ authorization }) => authorization)
    expect(sent.toSorted()).toEqual(tokens.map((token) => `Bearer ${token}`).toSorted())
    expect(shared.get('authorization')).toEqual([])
  })

  it('some of which cancel, and some of which are without a caller', async () => {
    using client = clientOf(`127.0.0.1:${sink.port}`)
    const calls = tokens.map((token, user) => {
      const call = (): Promise<unknown> => {
        const made = look(client, 'talk', metadataOf(user)).catch(() => undefined)
        if (user % 3 === 0) client.unary('a', metadataOf(user), () => undefined).cancel()
        return made
      }
      return user % 2 === 0 ? runWithToken(token, call) : call()
    })
    await Promise.all(calls)
    const wrong = mixedUp(sink).filter((user) => Number(user?.replace('user-', '')) % 2 === 0)
    expect(wrong).toEqual([])
    const ofNobody = sink.received.filter(({ metadata }) => Number(String(metadata.get('x-user')).slice(5)) % 2 === 1)
    expect(ofNobody.flatMap(({ authorization }) => authorization)).toEqual([])
    expect(ofNobody.length).toBeGreaterThan(0)
  })
})

/** As in the proposal that brought client interceptors to gRPC: one more attempt, from within the listener. */
const retrying: Interceptor = (options, nextCall) => {
  let savedMetadata: Metadata
  let savedMessage: unknown
  let savedMessageNext: (message: unknown) => void
  return new InterceptingCall(nextCall(options), {
    start(metadata, _listener, next) {
      savedMetadata = metadata
      next(metadata, {
        onReceiveMessage(message, nextMessage) {
          savedMessageNext = nextMessage
          if (message !== null) nextMessage(message)
        },
        onReceiveStatus(received, nextStatus) {
          if (received.code === status.OK) return nextStatus(received)
          const again = nextCall(options)
          again.start(savedMetadata, {
            onReceiveMetadata: () => undefined,
            onReceiveMessage: (message) => {
              if (message !== null) savedMessageNext(message)
            },
            onReceiveStatus: nextStatus,
          })
          again.sendMessage(savedMessage)
          again.halfClose()
        },
      })
    },
    sendMessage(message, next) {
      savedMessage = message
      next(message)
    },
  })
}
