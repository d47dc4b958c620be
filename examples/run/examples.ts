/** The examples: which programs each has, how they find each other, and what is asked. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { APP, BILLING, BILLING_SCOPE, EXCHANGER, OUR_API, SCOPE, USER } from '../demo/stage/identity-provider.ts'
import type { Service } from '../demo/stage/services.ts'
import { kafkaBrokers, redisUrl } from './brokers.ts'
import type { Rig } from './rig.ts'
import { missing } from './rig.ts'

const PROFILE = { caller: USER, scopes: SCOPE.split(' ') }
const SHIPPED = `ships tea for ${USER}; profile saw ${USER}`

/** How each is played, by its folder. */
export const EXAMPLES: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  express: (rig) => framework(rig, 'express/server.mjs'),
  fastify: (rig) => framework(rig, 'fastify/server.mjs'),
  hono: (rig) => framework(rig, 'hono/server.mjs'),
  nest(rig) {
    compile('nest')
    return framework(rig, 'nest/dist/main.js')
  },
  'apollo-gateway': apolloGateway,
  bullmq: async (rig) => queue(rig, 'bullmq', 'worker', { REDIS_URL: await redisUrl(rig) }),
  kafka: async (rig) => queue(rig, 'kafka', 'consumer', { KAFKA_BROKERS: await kafkaBrokers(rig) }),
  'worker-pool': workerPool,
  exchange,
  'spring-neighbour': springNeighbour,
}

/** The service behind is asked directly first: it refuses by itself, and has the keys of the issuer from then on. */
async function profileService(rig: Rig, file = 'profile/server.mjs'): Promise<Service> {
  const profile = await rig.start(file)
  await rig.ask(profile.url, { token: false, status: 401 })
  await rig.ask(profile.url, { status: 200, body: PROFILE })
  return profile
}

async function framework(rig: Rig, file: string): Promise<void> {
  const profile = await profileService(rig)
  const { url } = await rig.start(file, { PROFILE_URL: profile.url, TOKEN_RELAY_DESTINATIONS: profile.url })
  await rig.ask(`${url}/me`, { token: false, status: 401 })
  await rig.ask(`${url}/me`, { status: 200, body: { caller: USER, profile: PROFILE } })
  await rig.ask(`${url}/invoices`, { status: 200, body: { caller: USER, invoices: [] } })
  await rig.ask(`${url}/admin`, { status: 403 })
}

/** Decorators take a compiler. */
function compile(folder: string): void {
  const root = join(import.meta.dirname, '..', '..')
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const { status, stdout } = spawnSync(tsc, ['-p', join(root, 'examples', folder)], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
  })
  if (status !== 0) throw new Error(stdout)
}

async function apolloGateway(rig: Rig): Promise<void> {
  const query = { method: 'POST', query: '{ me { id } }' }
  const users = await rig.start('apollo-gateway/users.mjs')
  await rig.ask(users.url, { ...query, status: 200, body: { data: { me: { id: USER } } } })
  const { url } = await rig.start('apollo-gateway/gateway.mjs', {
    TOKEN_RELAY_CONFIG_FILE: 'apollo-gateway/relay.cjs',
    ...rig.client,
    USERS_URL: users.url,
  })
  await rig.ask(url, { ...query, token: false, status: 401 })
  await rig.ask(url, { ...query, status: 200, body: { data: { me: { id: USER } } } })
}

async function queue(rig: Rig, folder: string, consumer: string, broker: Record<string, string>): Promise<void> {
  const profile = await profileService(rig)
  const shared = { ...broker, ...rig.sealing }
  const worker = await rig.start(`${folder}/${consumer}.mjs`, {
    ...shared,
    PROFILE_URL: profile.url,
    TOKEN_RELAY_DESTINATIONS: profile.url,
  })
  const { url } = await rig.start(`${folder}/server.mjs`, { ...shared, TOKEN_RELAY_DESTINATIONS: `${folder}:orders` })
  await rig.ask(url, { method: 'POST', token: false, status: 401 })
  await rig.ask(url, { method: 'POST', status: 202 })
  await rig.sees(worker, SHIPPED)
}

async function workerPool(rig: Rig): Promise<void> {
  const profile = await profileService(rig)
  const { url } = await rig.start('worker-pool/server.mjs', {
    PROFILE_URL: profile.url,
    TOKEN_RELAY_DESTINATIONS: `worker:thumbnails,${profile.url}`,
  })
  const body = { thumbnail: 'cat.jpg', caller: USER, inThread: true, profile: PROFILE }
  await rig.ask(`${url}/cat.jpg`, { token: false, status: 401 })
  await rig.ask(`${url}/cat.jpg`, { status: 200, body })
}

async function exchange(rig: Rig): Promise<void> {
  const billing = await rig.start('exchange/billing.mjs', { TOKEN_RELAY_AUDIENCE: BILLING })
  const { url } = await rig.start('exchange/server.mjs', {
    TOKEN_RELAY_CONFIG_FILE: 'exchange/relay.cjs',
    ...rig.client,
    BILLING_URL: billing.url,
    BILLING_AUDIENCE: BILLING,
  })
  const seen = { caller: USER, actor: EXCHANGER.clientId, audience: BILLING, scopes: [BILLING_SCOPE] }
  await rig.ask(url, { token: false, status: 401 })
  await rig.ask(url, { status: 200, body: { caller: USER, audience: OUR_API, billing: seen } })
  await rig.ask(billing.url, { status: 401 })
}

async function springNeighbour(rig: Rig): Promise<void> {
  const folder = join(import.meta.dirname, '..', 'spring-neighbour')
  const { status, error, stdout } = spawnSync('mvn', ['-q', '-B', 'package'], { cwd: folder, encoding: 'utf8' })
  if (error !== undefined) missing('Maven, with Java 17 or later,')
  if (status !== 0) throw new Error(stdout)
  const profile = await profileService(rig, 'spring-neighbour/server.mjs')
  const { ISSUER = '', AUDIENCE = '' } = rig.client
  const { url } = await rig.startJava('spring-neighbour/target/orders.jar', {
    ISSUER,
    AUDIENCE,
    CLIENT: APP,
    PROFILE_URL: profile.url,
    SERVER_PORT: '0',
    SERVER_ADDRESS: '127.0.0.1',
  })
  await rig.ask(`${url}/orders`, { token: false, status: 401 })
  await rig.ask(`${url}/orders`, { status: 200, body: { caller: USER, profile: PROFILE } })
}
