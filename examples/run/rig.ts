/** What surrounds an example: an identity provider, alice, and somebody who asks and looks at the answer. */

import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { isDeepStrictEqual, styleText } from 'node:util'
import { APP, EXCHANGER, OUR_API, REDIRECT_URI, SCOPE, startIdentityProvider } from '../demo/stage/identity-provider.ts'
import { logIn } from '../demo/stage/login.ts'
import { createSecretFile } from '../demo/stage/secret-file.ts'
import type { Service } from '../demo/stage/services.ts'
import { startService } from '../demo/stage/services.ts'

export type Variables = Readonly<Record<string, string>>

export interface Rig {
  /** Of the client that may exchange tokens, for a file of options. */
  readonly client: Variables
  /** Of the key that producers and consumers of messages share. */
  readonly sealing: Variables
  /** Starts a program below `examples/`, behind the relay, and prints how. */
  start(file: string, env?: Variables): Promise<Service>
  /** Starts a program in Java, which verifies tokens itself. */
  startJava(jar: string, env: Variables): Promise<Service>
  /** Ends with the example. */
  use<T extends AsyncDisposable>(resource: T): T
  /** Asks as alice, or without a token, prints the answer, and compares it with what is expected. */
  ask(url: string, expected: Expected): Promise<void>
  /** Waits until `program` has printed `line`. */
  sees(program: Service, line: string): Promise<void>
  hasSucceeded(): boolean
  /** Prints how to ask what was asked. */
  invite(): Promise<void>
}

export interface Expected {
  readonly token?: false
  readonly method?: string
  readonly query?: string
  readonly status: number
  readonly body?: object
}

const FOLDER = `${import.meta.dirname}/..`
const PATIENCE_MILLIS = 60_000
const WIDTH = 80

export async function createRig(stack: AsyncDisposableStack): Promise<Rig> {
  const { issuer } = stack.use(await startIdentityProvider({ onExchanged: () => undefined }))
  const secret = stack.use(await createSecretFile())
  const token = (): Promise<string> =>
    logIn({ issuer, clientId: APP, resource: OUR_API, redirectUri: REDIRECT_URI, scope: SCOPE })
  const asked: string[] = []
  let failures = 0

  function print(holds: boolean, text: string): void {
    if (!holds) failures += 1
    console.log(`${holds ? styleText('green', '✓') : styleText('red', '✗')} ${text}`)
  }

  return {
    client: { ISSUER: issuer, AUDIENCE: OUR_API, CLIENT_ID: EXCHANGER.clientId, CLIENT_SECRET: EXCHANGER.clientSecret },
    sealing: { TOKEN_RELAY_SEALING_KID: 'orders-1', TOKEN_RELAY_SEALING_SECRET_FILE: secret.path },
    use: (resource) => stack.use(resource),
    async start(file, env = {}) {
      const own = { TOKEN_RELAY_ISSUER: issuer, TOKEN_RELAY_AUDIENCE: OUR_API }
      const settings = 'TOKEN_RELAY_CONFIG_FILE' in env ? env : { ...own, ...env }
      printCommand(file, settings)
      return stack.use(
        await startService({ name: nameOf(file), file, folder: FOLDER, env: { ...SILENT, ...settings } }),
      )
    },
    async startJava(jar, env) {
      const command = ['java', '-jar', `${FOLDER}/${jar}`] as const
      printCommand(jar, env, 'java -jar')
      return stack.use(await startService({ name: 'spring', file: jar, folder: FOLDER, command: [...command], env }))
    },
    async ask(url, expected) {
      const { token: withToken = true, method = 'GET', status, body } = expected
      const { headers, content } = contentOf(expected)
      if (withToken) headers['authorization'] = `Bearer ${await token()}`
      const response = await decided(() => fetch(url, { method, headers, body: content }))
      const text = await response.text()
      const isExpected = body === undefined || isDeepStrictEqual(parsed(text), body)
      const who = withToken ? 'as alice' : 'without a token'
      print(response.status === status && isExpected, `${method} ${url} ${who}: ${response.status}`)
      if (text !== '' && withToken) console.log(`  ${text.trim()}`)
      asked.push(`${method === 'GET' ? '' : `-X ${method} `}${content === null ? '' : `--json '${content}' `}${url}`)
    },
    async sees({ name, output }, line) {
      const deadline = performance.now() + PATIENCE_MILLIS
      while (!output.includes(line) && performance.now() < deadline) await setTimeout(20)
      print(output.includes(line), `${name} prints: ${line}`)
    },
    hasSucceeded: () => failures === 0,
    async invite() {
      console.log('\nEverything keeps running until Ctrl-C. Try, for the five minutes of this token:\n')
      console.log(`AUTH='authorization: Bearer ${await token()}'`)
      for (const request of new Set(asked)) console.log(`curl -i -H "$AUTH" ${request}`)
    },
  }
}

/** Neither traces nor metrics: the answers say enough. */
const SILENT = { OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none', PORT: '0' }

/** A service that cannot decide now answers 503: a client tries again. */
async function decided(send: () => Promise<Response>): Promise<Response> {
  const deadline = performance.now() + PATIENCE_MILLIS
  for (;;) {
    const response = await send()
    if (response.status !== 503 || performance.now() > deadline) return response
    await response.body?.cancel()
    await setTimeout(Number(response.headers.get('retry-after') ?? 1) * 1_000)
  }
}

/** A query of GraphQL is sent as JSON. */
function contentOf({ query }: Expected): { headers: Record<string, string>; content: string | null } {
  if (query === undefined) return { headers: {}, content: null }
  return { headers: { 'content-type': 'application/json' }, content: JSON.stringify({ query }) }
}

function printCommand(file: string, settings: Variables, program = 'node --require otel-token-relay/register'): void {
  for (const [name, value] of Object.entries(settings)) {
    const shown = /SECRET$/.test(name) ? '…' : value
    console.log(styleText('dim', `${name}=${shown} \\`.slice(0, WIDTH)))
  }
  console.log(`${styleText('dim', program)} examples/${file}\n`)
}

function nameOf(file: string): string {
  const [folder = '', program = ''] = file.split('/')
  return program.startsWith('server') ? folder : program.replace(/\.\w+$/, '')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Ends the run with what is missing on this machine. */
export function missing(what: string): never {
  console.error(`${what} is needed for this example`)
  process.exit(3)
}
