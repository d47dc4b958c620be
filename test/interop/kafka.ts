/** A real Apache Kafka on the loopback interface: from Maven Central, one node that is broker and controller (KRaft). */

import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { Kafka as KafkaClient, logLevel } from 'kafkajs'
import type { Broker } from '../support/brokers.ts'
import { connectable, filesIn, freePorts } from '../support/brokers.ts'

const VERSION = '4.1.1'
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'otel-token-relay')
/** Any will do: the cluster lives for one test. */
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAA'

export async function startKafka(topics: readonly string[]): Promise<Broker> {
  const libraries = `${download()}/*`
  const folder = mkdtempSync(join(tmpdir(), 'kafka-'))
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const properties = join(folder, 'server.properties')
  writeFileSync(properties, propertiesOf(port, controllerPort, join(folder, 'data')))
  run('java', ['-cp', libraries, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties])
  const start = (): ChildProcess =>
    spawn('java', ['-Xmx512m', '-cp', libraries, 'kafka.Kafka', properties], { cwd: folder, stdio: 'ignore' })

  let server = start()
  await connectable(port)
  await createTopics(`127.0.0.1:${port}`, topics)
  const kafka: Broker = {
    url: `127.0.0.1:${port}`,
    // The segments of its logs, byte by byte: headers and values of all messages.
    stored: async () => filesIn(join(folder, 'data')),
    // At once: what it has acknowledged is there when it starts again.
    async stop() {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
    },
    async start() {
      server = start()
      await connectable(port)
    },
    async [Symbol.asyncDispose]() {
      if (server.exitCode === null && server.signalCode === null) await kafka.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return kafka
}

/** `kafkajs` subscribes to none that is not there yet. */
async function createTopics(url: string, topics: readonly string[]): Promise<void> {
  const admin = new KafkaClient({ brokers: [url], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({ topics: topics.map((topic) => ({ topic })), waitForLeaders: true })
  await admin.disconnect()
}

function propertiesOf(port: number, controllerPort: number, folder: string): string {
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': folder,
    'num.partitions': 4,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': 1,
    'group.initial.rebalance.delay.ms': 0,
  }
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

/** Fetched once; the directory appears only when it is complete. */
function download(): string {
  const home = join(CACHE, `kafka-${VERSION}`)
  if (existsSync(home)) return home
  const work = join(CACHE, `fetched-${process.pid}`)
  mkdirSync(work, { recursive: true })
  const project = join(work, 'pom.xml')
  writeFileSync(project, PROJECT)
  run('mvn', ['-q', '-B', '-f', project, 'dependency:copy-dependencies', '-DoutputDirectory=lib'])
  renameSync(join(work, 'lib'), home)
  rmSync(work, { recursive: true })
  return home
}

const PROJECT = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version>
    </dependency>
  </dependencies>
</project>
`

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: 'ignore' })
  if (status !== 0) throw new Error(`${command} failed (Java 17 and Maven are needed here)`, { cause: error })
}
