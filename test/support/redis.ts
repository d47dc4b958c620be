/** A real `redis-server` on the loopback interface, for one test file; clearly missing where there is none. */

import type { ChildProcess } from 'node:child_process'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

/** Whether tests against Redis can run here. In CI they must: there a missing server is a failure, not a skip. */
export const HAS_REDIS = process.env['CI'] !== undefined || spawnSync('redis-server', ['--version']).status === 0

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Everything that it holds, by how it was read: each value, each serialized, and the file that it writes of them. */
  stored(): Promise<Readonly<Record<'values' | 'dumps' | 'file', string>>>
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
    async stored() {
      const command = async (...words: string[]) =>
        (await promisify(execFile)('redis-cli', ['-p', String(port), '--raw', ...words], { encoding: 'latin1' })).stdout
      // What is compressed could not be searched.
      await command('CONFIG', 'SET', 'rdbcompression', 'no')
      const keys = (await command('--scan')).split('\n').filter((key) => key !== '')
      const each = async (name: string) => (await Promise.all(keys.map((key) => command(name, key)))).join('\n')
      const [values, dumps] = [`${keys.join('\n')}\n${await each('GET')}`, await each('DUMP')]
      await command('SAVE')
      const file = join(folder, 'dump.rdb')
      const text = readFileSync(file, 'latin1')
      rmSync(file)
      return { values, dumps, file: text }
    },
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

export interface RedisCluster {
  readonly ports: readonly number[]
  /** How many keys there are of this pattern, on all nodes. */
  keysOf(pattern: string): Promise<number>
  /** How many nodes have any key. */
  nodesWith(): Promise<number>
  [Symbol.asyncDispose](): Promise<void>
}

/** Three masters, each with a third of the slots, and no replicas. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'redis-cluster-'))
  const ports = [await freePort(), await freePort(), await freePort()]
  const options = [
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--cluster-enabled',
    'yes',
    '--dir',
    folder,
  ]
  const servers: ChildProcess[] = []
  for (const port of ports) {
    const busPort = await freePort()
    const own = ['--port', `${port}`, '--cluster-port', `${busPort}`, '--cluster-config-file', `${port}.conf`]
    servers.push(spawn('redis-server', [...own, ...options], { stdio: 'ignore' }))
  }
  const cli = async (port: number, ...words: string[]): Promise<string> =>
    (await promisify(execFile)('redis-cli', ['-p', String(port), ...words])).stdout
  await Promise.all(ports.map(connectable))
  const [first = 0] = ports
  await cli(first, '--cluster', 'create', ...ports.map((port) => `127.0.0.1:${port}`), '--cluster-yes')
  while (
    !(await Promise.all(ports.map((port) => cli(port, 'cluster', 'info')))).every((info) =>
      info.includes('cluster_state:ok'),
    )
  ) {
    await pause(50)
  }
  const each = (words: readonly string[]) => Promise.all(ports.map((port) => cli(port, ...words)))
  return {
    ports,
    keysOf: async (pattern) =>
      (await each(['--scan', '--pattern', pattern]))
        .join('')
        .split('\n')
        .filter((key) => key !== '').length,
    nodesWith: async () => (await each(['dbsize'])).filter((size) => Number(size) > 0).length,
    async [Symbol.asyncDispose]() {
      const ended = servers.map((server) => once(server, 'exit'))
      for (const server of servers) server.kill('SIGKILL')
      await Promise.all(ended)
      rmSync(folder, { recursive: true, force: true })
    },
  }
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
