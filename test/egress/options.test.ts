/** F6 Every way to say in the options of `http` and `https` where a request goes, and what of it holds. */

import { once } from 'node:events'
import type { AgentOptions, RequestOptions } from 'node:http'
import http from 'node:http'
import https from 'node:https'
import type { LookupFunction } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import { verdictsOf } from '../support/decisions.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { fromNode24 } from '../support/node.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink
let sixth: Sink
let secure: https.Server
let securePort: number
let certificates: Certificates
let relay: TokenRelay
let token: string

beforeAll(async () => {
  issuer = await startIssuer()
  certificates = await createCertificates()
  named = await startSink()
  other = await startSink('127.0.0.2', named.port)
  sixth = await startSink('::1')
  secure = https.createServer(certificates, (_request, response) => response.end())
  securePort = await listen(secure)
  relay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [
      { to: named.origin },
      { to: `http://localhost:${named.port}` },
      { to: `http://[::1]:${sixth.port}` },
      { to: `https://localhost:${securePort}` },
      { to: `https://127.0.0.1:${named.port}` },
      { to: 'https://xn--mnchen-3ya.example' },
    ],
  })
  token = await issuer.token()
})
afterAll(async () => {
  await relay.shutdown()
  await Promise.all([issuer, named, other, sixth].map((resource) => resource[Symbol.asyncDispose]()))
  await close(secure)
})
beforeEach(() => {
  other.clear()
})

const lookupOf =
  (address: string): LookupFunction =>
  (_name, { all }, callback) =>
    all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4)
const toNamed = lookupOf('127.0.0.1')
/** No resolver has given this address for the host. */
const toOther = lookupOf('127.0.0.2')

/** What is decided; nobody needs to be there. */
async function decide(module: typeof http | typeof https, options: RequestOptions): Promise<readonly string[]> {
  const verdicts = await runWithToken(token, () =>
    verdictsOf(async () => {
      const outgoing = module.request({ lookup: undefined, ...options })
      outgoing.end()
      await once(outgoing, 'response').catch(() => undefined)
      outgoing.destroy()
    }),
  )
  expect(other.bytes()).not.toContain(token.slice(0, 12))
  return verdicts
}

const agentOf = (options: object): http.Agent => new http.Agent(options as AgentOptions)
const port = (): number => named.port
type Case = readonly [string, () => https.RequestOptions, string]

const cases: readonly Case[] = [
  ['host', () => ({ host: '127.0.0.1', port: port() }), 'forwarded'],
  ['hostname', () => ({ hostname: '127.0.0.1', port: port() }), 'forwarded'],
  ['hostname before host', () => ({ hostname: '127.0.0.2', host: '127.0.0.1', port: port() }), 'not_named'],
  ['host behind hostname', () => ({ hostname: '127.0.0.1', host: '127.0.0.2', port: port() }), 'forwarded'],
  [
    'an empty hostname, behind which host counts',
    () => ({ hostname: '', host: '127.0.0.2', port: port() }),
    'not_named',
  ],
  ['a port as a text', () => ({ host: '127.0.0.1', port: String(port()) }), 'forwarded'],
  ['a port with a zero', () => ({ host: '127.0.0.1', port: `0${port()}` }), 'forwarded'],
  ['another port', () => ({ host: '127.0.0.1', port: 9 }), 'not_named'],
  ['no port', () => ({ host: '127.0.0.1' }), 'not_named'],
  ['defaultPort', () => ({ host: '127.0.0.1', defaultPort: port() }), 'forwarded'],
  ['defaultPort behind port', () => ({ host: '127.0.0.1', port: 9, defaultPort: port() }), 'not_named'],
  // Agents have taken `defaultPort` and `protocol` from their options since Node 24.
  ...fromNode24<Case>([
    'defaultPort of an agent',
    () => ({ host: '127.0.0.1', agent: agentOf({ defaultPort: port() }) }),
    'forwarded',
  ]),
  ['host of an agent', () => ({ host: '127.0.0.1', port: port(), agent: agentOf({ host: '127.0.0.2' }) }), 'not_named'],
  ['port of an agent', () => ({ host: '127.0.0.1', port: port(), agent: agentOf({ port: 9 }) }), 'not_named'],
  [
    'lookup of an agent',
    () => ({ host: 'localhost', port: port(), agent: agentOf({ lookup: toOther }) }),
    'custom_connection',
  ],
  // By an agent of its own: what a lookup has led to may be used again by the agent's later requests.
  ['lookup', () => ({ host: 'localhost', port: port(), lookup: toOther, agent: agentOf({}) }), 'custom_connection'],
  ['socketPath', () => ({ host: '127.0.0.1', port: port(), socketPath: '/nowhere.sock' }), 'unix_socket'],
  [
    'socketPath of an agent',
    () => ({ host: '127.0.0.1', port: port(), agent: agentOf({ socketPath: '/nowhere.sock' }) }),
    'unix_socket',
  ],
  ['a Host field', () => ({ host: '127.0.0.2', port: port(), headers: { host: named.origin.slice(7) } }), 'not_named'],
  [
    'a Host field over clear text',
    () => ({ host: '127.0.0.1', port: port(), headers: { host: 'evil.example' } }),
    'forwarded',
  ],
  ['an absolute path', () => ({ host: '127.0.0.1', port: port(), path: 'http://127.0.0.2/' }), 'proxied'],
  ['a path that is no path', () => ({ host: '127.0.0.1', port: port(), path: '@127.0.0.2/' }), 'proxied'],
  ['a path with two slashes', () => ({ host: '127.0.0.1', port: port(), path: '//127.0.0.2/' }), 'forwarded'],
  ['CONNECT', () => ({ host: '127.0.0.1', port: port(), method: 'CONNECT', path: '127.0.0.2:80' }), 'proxied'],
  ['auth', () => ({ host: '127.0.0.1', port: port(), auth: 'user:secret' }), 'own_credential'],
  ['localAddress', () => ({ host: '127.0.0.1', port: port(), localAddress: '127.0.0.1' }), 'forwarded'],
  ['family', () => ({ host: 'localhost', port: port(), family: 4 }), 'forwarded'],
  ['a protocol that is the agent’s', () => ({ protocol: 'http:', host: '127.0.0.1', port: port() }), 'forwarded'],
  ['upper case', () => ({ host: 'LocalHost', port: port(), family: 4 }), 'forwarded'],
  ['a trailing dot', () => ({ host: 'localhost.', port: port(), family: 4 }), 'not_named'],
  ['an address with a trailing dot', () => ({ host: '127.0.0.1.', port: port() }), 'unknown_destination'],
  ['IPv4 as one number', () => ({ host: '2130706433', port: port() }), 'forwarded'],
  ['IPv6', () => ({ host: '::1', port: sixth.port }), 'forwarded'],
  ['IPv6 at length', () => ({ host: '0:0:0:0:0:0:0:1', port: sixth.port }), 'forwarded'],
  ['IPv4 inside IPv6', () => ({ host: '::ffff:127.0.0.1', port: port() }), 'not_named'],
  ['IPv6 with a zone', () => ({ host: '::1%lo', port: sixth.port }), 'unknown_destination'],
  [
    'userinfo',
    () => ({ host: 'user@127.0.0.1', port: port(), lookup: toNamed, agent: agentOf({}) }),
    'unknown_destination',
  ],
  [
    'an escape',
    () => ({ host: '127%2e0.0.1', port: port(), lookup: toNamed, agent: agentOf({}) }),
    'unknown_destination',
  ],
  [
    'full-width dots',
    () => ({ host: '127．0．0．1', port: port(), lookup: toNamed, setHost: false }),
    'unknown_destination',
  ],
]

it.each(cases)('http: %s', async (_, options, verdict) => {
  expect(await decide(http, options())).toEqual([verdict])
})

const ca = (): { ca: string } => ({ ca: certificates.ca })
const secureCases: readonly Case[] = [
  ['host', () => ({ ...ca(), host: 'localhost', port: securePort, family: 4 }), 'forwarded'],
  [
    'servername',
    () => ({ ...ca(), host: 'localhost', port: securePort, family: 4, servername: 'localhost' }),
    'forwarded',
  ],
  [
    'lookup, bound by the certificate',
    () => ({ ...ca(), host: 'localhost', port: securePort, lookup: toNamed }),
    'forwarded',
  ],
  [
    'a Host field, whose name the certificate would be checked for',
    () => ({ ...ca(), host: 'localhost', port: securePort, family: 4, headers: { host: 'evil.example' } }),
    'custom_connection',
  ],
  [
    'a Host field with the right name',
    () => ({ ...ca(), host: 'localhost', port: securePort, family: 4, headers: { host: `LOCALHOST:${securePort}` } }),
    'forwarded',
  ],
  ...fromNode24<Case>([
    'an http agent that only says https [F3]',
    () => ({ host: '127.0.0.1', port: port(), agent: agentOf({ protocol: 'https:' }) }),
    'unknown_destination',
  ]),
  [
    'an http agent, and a protocol to match it [F3]',
    () => ({ protocol: 'http:', host: '127.0.0.2', port: port(), agent: new http.Agent() }),
    'not_named',
  ],
  [
    'a name that is not punycode',
    () => ({ host: 'münchen.example', lookup: toNamed, port: 443 }),
    'unknown_destination',
  ],
]

it.each(secureCases)('https: %s', async (_, options, verdict) => {
  expect(await decide(https, options())).toEqual([verdict])
})

it('https with an http agent is refused by Node, and sends nothing [F3]', async () => {
  const options = { host: '127.0.0.1', port: port(), agent: new http.Agent() }
  await expect(decide(https, options)).rejects.toMatchObject({ code: 'ERR_INVALID_PROTOCOL' })
})
