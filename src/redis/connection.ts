/** What is wanted of a Redis connection, from the two clients that Node.js people use. */

/** One command as a list of words: `['GET', 'key']`. */
export type Command = readonly [name: string, ...words: string[]]

export interface RedisConnection {
  /** Begins to connect, and goes on trying. */
  open(): void
  send(command: Command): Promise<unknown>
  /** Calls `onMessage` for everything published on `channel`, from when the promise is fulfilled until `close`. */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>
  /** Calls back whenever the connection is lost, and whenever it is there again. */
  observe(onLost: () => void, onReady: () => void): void
  /** Gives this connection up for a new one. */
  renew(): void
  close(): void
}

/** A client of `ioredis` 5 or later. */
export interface IoredisClient {
  call(command: string, ...words: string[]): Promise<unknown>
  duplicate(): unknown
}

/** A client of `redis` (node-redis) 5 or later. */
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

/** A connection of its own beside `client`, with the same settings: a subscriber can do nothing else. */
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
    subscribe: async (channel, onMessage) => void (await client.subscribe(channel, onMessage)),
    observe: (onLost, onReady) => observe(client, ['error', 'end', 'reconnecting'], onLost, onReady),
    renew() {
      if (client.isOpen) client.destroy()
      open()
    },
    close: () => client.destroy(),
  }
}

function observe(client: Emitter, lost: readonly string[], onLost: () => void, onReady: () => void): void {
  for (const event of lost) client.on(event, onLost)
  // Clients end the process over an error that nobody listens to.
  if (!lost.includes('error')) client.on('error', () => undefined)
  client.on('ready', onReady)
}
