/** Brokers of the examples: one that runs already, or one that is started for the example on the loopback interface. */

import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { close, listen } from '../demo/stage/loopback.ts'
import type { Rig } from './rig.ts'
import { missing } from './rig.ts'

/** `REDIS_URL`, or that of a `redis-server` that is started here. */
export async function redisUrl(rig: Rig): Promise<string> {
  const given = process.env['REDIS_URL']
  if (given !== undefined) return given
  if (!isInstalled('redis-server')) missing('redis-server, or REDIS_URL,')
  const folder = mkdtempSync(join(tmpdir(), 'example-redis-'))
  const port = await freePort()
  const settings = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const server = spawn('redis-server', settings, { stdio: 'ignore' })
  rig.use({
    async [Symbol.asyncDispose]() {
      await end(server)
      rmSync(folder, { recursive: true, force: true })
    },
  })
  await connectable(Number(port))
  return `redis://127.0.0.1:${port}`
}

/** `KAFKA_BROKERS`, or the cluster that librdkafka plays, whose address `kcat` prints. */
export async function kafkaBrokers(rig: Rig): Promise<string> {
  const given = process.env['KAFKA_BROKERS']
  if (given !== undefined) return given
  if (!isInstalled('kcat')) missing('kcat, or KAFKA_BROKERS,')
  const settings = ['-P', '-b', 'none', '-t', 'idle', '-X', 'test.mock.num.brokers=1', '-d', 'mock']
  const server = spawn('kcat', settings, { stdio: ['pipe', 'ignore', 'pipe'] })
  rig.use({ [Symbol.asyncDispose]: () => end(server) })
  for await (const line of createInterface({ input: server.stderr })) {
    const address = /bootstrap\.servers=(\S+)|(127\.0\.0\.1:\d+)/.exec(line)
    const brokers = address?.[1] ?? address?.[2]
    if (brokers === undefined) continue
    server.stderr.resume()
    return brokers
  }
  throw new Error('kcat does not start its cluster')
}

function isInstalled(command: string): boolean {
  return spawnSync('which', [command]).status === 0
}

async function freePort(): Promise<string> {
  const server = createServer()
  const { port } = new URL(await listen(server))
  await close(server)
  return port
}

async function connectable(port: number): Promise<void> {
  for (;;) {
    const socket = createConnection(port, '127.0.0.1')
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (open) return
    await setTimeout(50)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
