/** A real Keycloak on the loopback interface: from Maven Central, started empty, configured through its admin API. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'

const VERSION = '26.4.7'
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${VERSION}:tar.gz`
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'otel-token-relay')
const ADMIN = 'admin'
const START_MILLIS = 180_000

export interface Keycloak {
  readonly origin: string
  /** Calls the admin API; resolves with the answer's body, or with the id of what was created. */
  admin(method: string, path: string, body?: object): Promise<unknown>
  /** Stops answering without closing a connection, as an overloaded one does. */
  freeze(): void
  thaw(): void
  [Symbol.asyncDispose](): Promise<void>
}

export async function startKeycloak(): Promise<Keycloak> {
  const home = download()
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const child = spawn(
    join(home, 'bin', 'kc.sh'),
    ['start-dev', '--db=dev-mem', '--http-host=127.0.0.1', `--http-port=${port}`],
    {
      // Its own process group: the script starts Java, and both must end.
      detached: true,
      stdio: 'ignore',
      env: { ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN, KC_BOOTSTRAP_ADMIN_PASSWORD: ADMIN },
    },
  )
  const ended = once(child, 'exit')
  const signal = (name: NodeJS.Signals): void => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), name)
  }
  const keycloak: Keycloak = {
    origin,
    admin: (method, path, body) => admin(origin, method, path, body),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async [Symbol.asyncDispose]() {
      signal('SIGKILL')
      await ended
    },
  }
  try {
    await started(`${origin}/realms/master`, () => child.exitCode === null)
    return keycloak
  } catch (error) {
    await keycloak[Symbol.asyncDispose]()
    throw error
  }
}

/** Fetched once; the directory appears only when it is complete. */
function download(): string {
  const home = join(CACHE, `keycloak-${VERSION}`)
  if (existsSync(home)) return home
  const unpacked = join(CACHE, `unpacked-${process.pid}`)
  mkdirSync(unpacked, { recursive: true })
  run('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${CACHE}`])
  run('tar', ['-xzf', join(CACHE, `keycloak-quarkus-dist-${VERSION}.tar.gz`), '-C', unpacked])
  renameSync(join(unpacked, `keycloak-${VERSION}`), home)
  return home
}

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${command} failed (Java 17, Maven and tar are needed here)`, { cause: error })
}

async function started(url: string, isAlive: () => boolean): Promise<void> {
  const deadline = Date.now() + START_MILLIS
  while (Date.now() < deadline && isAlive()) {
    if (
      await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return
    await pause(250)
  }
  throw new Error('Keycloak does not start')
}

async function admin(origin: string, method: string, path: string, body?: object): Promise<unknown> {
  // A token of the admin lives for a minute: a new one each time is simpler than to watch it.
  const { access_token: token } = await requestToken(origin, 'master', {
    grant_type: 'password',
    client_id: 'admin-cli',
    username: ADMIN,
    password: ADMIN,
  })
  const response = await fetch(`${origin}/admin/realms${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? response.headers.get('location')?.split('/').pop() : (JSON.parse(text) as unknown)
}

export interface TokenAnswer {
  readonly access_token: string
  readonly refresh_token?: string
  readonly id_token?: string
}

/** Asks the token endpoint of `realm` (RFC 6749 §4). */
export async function requestToken(
  origin: string,
  realm: string,
  parameters: Readonly<Record<string, string>>,
): Promise<TokenAnswer> {
  const response = await fetch(`${origin}/realms/${realm}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams(parameters),
  })
  if (!response.ok) throw new Error(`token endpoint: ${response.status} ${await response.text()}`)
  return (await response.json()) as TokenAnswer
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
