/** A real `redis-server` on the loopback interface, for one test file; clearly missing where there is none. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'

/** Whether tests against Redis can run here. In CI they must: there a missing server is a failure, not a skip. */
export const HAS_REDIS = process.env['CI'] !== undefined || spawnSync('redis-server', ['--version']).status === 0

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Stops answering without closing a connection, as behind a broken network. */
  freeze(): void
  thaw(): void
  /** Ends the process at once. */
  kill(): Promise<void>
  /** Starts it again on the same port. */
  restart(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Everything is lost when it ends, unless it is `durable`: then nothing is that it has answered for. */
export async function startRedis({ durable = false } = {}): Promise<RedisServer> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'redis-'))
  const start = () =>
    spawn(
      'redis-server',
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        durable ? 'yes' : 'no',
        '--appendfsync',
        'always',
        '--dir',
        folder,
      ],
      { stdio: 'ignore' },
    )
  let server = start()
  await connectable(port)

  const redis: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async kill() {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
    },
    async restart() {
      server = start()
      await connectable(port)
    },
    async [Symbol.asyncDispose]() {
      if (server.exitCode === null && server.signalCode === null) await redis.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return redis
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function connectable(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const socket = createConnection(port, '127.0.0.1')
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (connected) return
    await pause(25)
  }
  throw new Error('redis-server does not start')
}
