/** One interface to a Redis connection, over the two clients that are common on Node.js. */

/** One command as a list of words: `['GET', 'key']`. */
export type Command = readonly [name: string, ...words: string[]]

export interface RedisConnection {
  /** Begins to connect, and goes on trying. */
  open(): void
  send(command: Command): Promise<unknown>
  /** Whether `error` is Redis's own answer to a command that was sent once. */
  isRefusal(error: unknown): boolean
  /** Calls `onMessage` for everything published on `channel`, from when the promise is fulfilled until `close`. */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>
  /** Calls back each time the connection is lost, and each time it is there again. */
  observe(onLost: () => void, onReady: () => void): void
  /** Gives this connection up for a new one. */
  renew(): void
  close(): void
}

/** A client of `ioredis` 5 or later: `Redis` or `Cluster`. */
export interface IoredisClient {
  call(command: string, ...words: string[]): Promise<unknown>
  duplicate(): unknown
}

/** A client of `redis` (node-redis) 5 or later, made by `createClient`. */
export interface NodeRedisClient {
  sendCommand(words: string[]): Promise<unknown>
  duplicate(): unknown
}

export type RedisClient = IoredisClient | NodeRedisClient

interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
}

interface Ioredis extends IoredisClient, Emitter {
  readonly status: string
  readonly isCluster?: boolean
  connect(): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(reconnect?: boolean): void
}

interface NodeRedis extends NodeRedisClient, Emitter {
  readonly isOpen: boolean
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  destroy(): void
}

/**
 * Accepts what is known to work. A cluster, a sentinel and a pool of node-redis have a `sendCommand`, too, with other
 * parameters, and report lost connections in other ways.
 */
function isRedisClient(client: unknown): client is RedisClient {
  if (typeof client !== 'object' || client === null) return false
  const has = (...names: string[]): boolean =>
    names.every((name) => typeof (client as Readonly<Record<string, unknown>>)[name] === 'function')
  if (!has('duplicate', 'connect', 'subscribe', 'on')) return false
  return has('call', 'disconnect') || has('sendCommand', 'destroy', 'monitor')
}

/** Opens another connection with the settings of `client`: a connection that subscribes can do nothing else. */
export function openConnection(client: RedisClient): RedisConnection {
  return 'call' in client ? ofIoredis(client.duplicate() as Ioredis) : ofNodeRedis(client.duplicate() as NodeRedis)
}

function ofIoredis(client: Ioredis): RedisConnection {
  return {
    open() {
      // Others connect when they are made.
      if (client.status === 'wait') client.connect().catch(() => undefined)
    },
    send: ([name, ...words]) => client.call(name, ...words),
    // A cluster sends a command again to another node without saying so: the first one may have done it.
    isRefusal: (error) => client.isCluster !== true && isErrorReply(error),
    async subscribe(channel, onMessage) {
      client.on('message', (from: string, message: string) => {
        if (from === channel) onMessage(message)
      })
      await client.subscribe(channel)
    },
    observe: (onLost, onReady) => observe(client, ['close', 'end'], onLost, onReady),
    renew: () => client.disconnect(true),
    close: () => client.disconnect(),
  }
}

function ofNodeRedis(client: NodeRedis): RedisConnection {
  const open = (): void => void client.connect().catch(() => undefined)
  return {
    open,
    send: (command) => client.sendCommand([...command]),
    isRefusal: isErrorReply,
    subscribe: async (channel, onMessage) => void (await client.subscribe(channel, onMessage)),
    observe: (onLost, onReady) => observe(client, ['error', 'end', 'reconnecting'], onLost, onReady),
    renew() {
      if (client.isOpen) client.destroy()
      open()
    },
    close: () => client.destroy(),
  }
}

/** By name: both libraries have a class for it, but it is not known which copy of the library is in use. */
function isErrorReply(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.name === 'ReplyError') return true
  for (let type = error.constructor; typeof type === 'function'; type = Object.getPrototypeOf(type) as typeof type) {
    if (type.name === 'ErrorReply') return true
  }
  return false
}

function observe(client: Emitter, lost: readonly string[], onLost: () => void, onReady: () => void): void {
  for (const event of lost) client.on(event, onLost)
  // An error event without a listener ends the process.
  if (!lost.includes('error')) client.on('error', () => undefined)
  client.on('ready', onReady)
}

/** What the names of keys and channels begin with, by default. */
export const PREFIX = 'otel-token-relay'

/** Throws a TypeError for what is no client, or no prefix. */
export function checkClient(client: RedisClient, prefix: string): void {
  if (!isRedisClient(client)) {
    throw new TypeError('client: expected a Redis or Cluster of ioredis, or a client of redis made by createClient')
  }
  if (typeof prefix !== 'string' || prefix === '') throw new TypeError('prefix: expected a text')
}

/** Throws a TypeError for a number that is not within its limits. */
export function checkMillis(name: string, value: number, min: number, max = 60_000): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new TypeError(`${name}: expected ${min} to ${max} whole milliseconds`)
}
