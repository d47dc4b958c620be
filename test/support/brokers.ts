/** Real brokers on the loopback interface, for one test file; clearly missing where they are not installed. */

import type { ChildProcess } from 'node:child_process'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

export interface Broker extends AsyncDisposable {
  readonly url: string
  /** Everything that it has kept of what it was given, as far as that can be read from outside. */
  stored(): Promise<string>
  /** Ends it, and starts it again with what it has on its disk. The Kafka of librdkafka has none: it falls silent meanwhile. */
  stop(): Promise<void>
  start(): Promise<void>
}

/** Not every PATH has the folders of servers. */
const PATH = `${process.env['PATH']}:/usr/sbin`

/** Whether tests against `command` can run here. In CI they must: there a missing server is a failure, not a skip. */
function isInstalled(command: string): boolean {
  return process.env['CI'] !== undefined || spawnSync('which', [command], { env: { PATH } }).status === 0
}

export const HAS_RABBITMQ = isInstalled('rabbitmq-server')
export const HAS_NATS = isInstalled('nats-server')
export const HAS_MOSQUITTO = isInstalled('mosquitto')
export const HAS_KCAT = isInstalled('kcat')

/** With its own `epmd` and Erlang cookie, and its own folder for everything it writes. */
export async function startRabbitMq(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'rabbitmq-'))
  const [port = 0, epmdPort = 0, distributionPort = 0] = await freePorts(3)
  const config = { 'listeners.tcp.1': `127.0.0.1:${port}`, 'log.console': 'false', 'log.file.level': 'error' }
  writeFileSync(
    join(folder, 'rabbitmq.conf'),
    Object.entries(config)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  )
  writeFileSync(join(folder, 'plugins'), '[].')
  for (const name of ['data', 'log', 'home']) mkdirSync(join(folder, name))
  const env = {
    PATH,
    HOME: join(folder, 'home'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `t${port}@localhost`,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +A 4',
  }
  const start = (): readonly ChildProcess[] => [
    // The script of the package changes the user, and its environment: the one behind it does not.
    spawn('/usr/lib/rabbitmq/bin/rabbitmq-server', [], { env, stdio: 'ignore', detached: true }),
    spawn('epmd', ['-address', '127.0.0.1', '-port', String(epmdPort)], { env, stdio: 'ignore' }),
  ]
  return started(start, `amqp://guest:guest@127.0.0.1:${port}`, folder, port)
}

export async function startNats(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'nats-'))
  const [port = 0] = await freePorts(1)
  const options = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder]
  const start = () => [spawn('nats-server', options, { stdio: 'ignore', env: { PATH } })]
  return started(start, `nats://127.0.0.1:${port}`, folder, port)
}

export async function startMosquitto(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'mosquitto-'))
  const [port = 0] = await freePorts(1)
  const settings = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${folder}/`,
    `user ${process.env['USER'] ?? 'root'}`,
    'autosave_on_changes true',
    'autosave_interval 1',
  ]
  writeFileSync(join(folder, 'mosquitto.conf'), `${settings.join('\n')}\n`)
  const start = () => [spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore', env: { PATH } })]
  // It writes what it has to its disk when it ends, and once in a while.
  return started(start, `mqtt://127.0.0.1:${port}`, folder, port, 'SIGTERM')
}

/** The cluster that librdkafka plays for its own tests: the protocol is real, the disk is not. */
export async function startKafka(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'kafka-'))
  const server = spawn('kcat', ['-P', '-b', 'none', '-t', 'idle', '-X', 'test.mock.num.brokers=1', '-d', 'mock'], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  for await (const line of createInterface({ input: server.stderr })) {
    const address = /bootstrap\.servers=(\S+)|(127\.0\.0\.1:\d+)/.exec(line)
    const url = address?.[1] ?? address?.[2]
    if (url === undefined) continue
    server.stderr.resume()
    const broker = await started(() => [server], url, folder, Number(url.split(':').at(-1)))
    return {
      ...broker,
      stored: () => consumed(url, 'orders'),
      stop: async () => void server.kill('SIGSTOP'),
      start: async () => void server.kill('SIGCONT'),
    }
  }
  throw new Error('kcat has not said where its cluster is')
}

/** What `kcat` reads from a topic, headers included. The cluster writes to us meanwhile, and must be read. */
async function consumed(url: string, topic: string): Promise<string> {
  const options = ['-C', '-b', url, '-t', topic, '-o', 'beginning', '-e', '-q', '-f', '%h %s\n']
  const { stdout } = await promisify(execFile)('kcat', options, { encoding: 'latin1', maxBuffer: 2 ** 28 })
  return stdout
}

export function filesIn(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

async function started(
  spawnAll: () => readonly ChildProcess[],
  url: string,
  folder: string,
  port: number,
  stopSignal: NodeJS.Signals = 'SIGKILL',
): Promise<Broker> {
  let servers = spawnAll()
  await connectable(port)
  const endAll = async (signal: NodeJS.Signals): Promise<void> => {
    for (const server of servers) await end(server, signal)
  }
  return {
    url,
    stored: async () => filesIn(folder),
    stop: () => endAll(stopSignal),
    async start() {
      servers = spawnAll()
      await connectable(port)
    },
    async [Symbol.asyncDispose]() {
      await endAll('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A script passes no signal on, so that the whole group is ended. */
async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return
  const ended = once(server, 'exit')
  try {
    process.kill(-server.pid, signal)
  } catch {
    server.kill(signal)
  }
  await ended
}

/** Below those that outgoing connections get: a client that polls such a port can connect to itself. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

const START_MILLIS = 60_000

export async function connectable(port: number): Promise<void> {
  const deadline = performance.now() + START_MILLIS
  while (performance.now() < deadline) {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (connected) return
    await pause(50)
  }
  throw new Error('the broker does not start')
}
