/** A destination as operators write it: `https://host[:port]`, `grpcs://host[:port]`, `kafka:orders`; one `*` at most. */

import { getPublicSuffix } from 'tldts'
import { isLoopback } from '../verification/secure-url.ts'

/** A place on the network: an origin, with `host` as the WHATWG URL standard writes it. */
export interface NetworkTarget {
  readonly kind: 'network'
  readonly scheme: string
  readonly host: string
  readonly port: number
}

/** A queue, topic or subject: `system` is OpenTelemetry's `messaging.system`, or `worker` for what a caller is handed over to. */
export interface MessagingTarget {
  readonly kind: 'messaging'
  readonly system: string
  readonly name: string
}

export type Target = NetworkTarget | MessagingTarget

/** A target whose host or name may start or end with a wildcard. */
export type Pattern = Target & { readonly wildcard: boolean }

/** Why a pattern is refused. Constant texts: the refused value is never repeated. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['grpc', 443],
  ['grpcs', 443],
])
const SYSTEMS: readonly string[] = ['kafka', 'rabbitmq', 'bullmq', 'nats', 'aws_sqs', 'aws_sns', 'mqtt', 'worker']
const NETWORK = /^([a-z]+):\/\/([^/?#@\\\s]+)$/
const MESSAGING = /^([a-z_]+):([^\s:/*]+(?:[:/][^\s:/*]+)*)(\*?)$/

/** Reads one destination of the configuration. Throws a {@link PatternError} that says what is wrong with it. */
export function parsePattern(text: string): Pattern {
  const network = NETWORK.exec(text)
  if (network !== null) return parseNetwork(network[1] ?? '', network[2] ?? '')
  const messaging = MESSAGING.exec(text)
  if (messaging !== null && !text.includes('://')) {
    return parseMessaging(messaging[1] ?? '', messaging[2] ?? '', messaging[3] === '*')
  }
  throw new PatternError('expected scheme://host[:port] without path or userinfo, or system:name')
}

/** Whether tokens would travel unencrypted to `pattern` over something else than the loopback interface. */
export function isCleartext(pattern: Target): boolean {
  return (
    pattern.kind === 'network' && (pattern.scheme === 'http' || pattern.scheme === 'grpc') && !isLoopback(pattern.host)
  )
}

/** Whether `target` is a thread or a process that a caller is handed over to, and no broker. */
export function isWorker(target: Target): boolean {
  return target.kind === 'messaging' && target.system === 'worker'
}

function parseNetwork(scheme: string, authority: string): Pattern {
  const defaultPort = DEFAULT_PORTS.get(scheme)
  if (defaultPort === undefined) throw new PatternError('unknown scheme: expected https, http, grpcs or grpc')
  const wildcard = authority.startsWith('*.')
  const rest = wildcard ? authority.slice(2) : authority
  if (rest.includes('*')) throw new PatternError('one * may stand for one whole leading host label only')
  const { hostname, port } = parseAuthority(rest)
  if (wildcard && (hostname.startsWith('[') || /^[\d.]+$/.test(hostname))) {
    throw new PatternError('a wildcard needs a host name, not an address')
  }
  if (wildcard && isPublicSuffix(hostname)) {
    throw new PatternError('a wildcard must not stand on a public suffix')
  }
  return { kind: 'network', scheme, host: hostname, port: port === '' ? defaultPort : Number(port), wildcard }
}

/** Below such a name everybody can register one, and so receive what is sent to all (https://publicsuffix.org). */
function isPublicSuffix(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '')
  return getPublicSuffix(name, { allowPrivateDomains: true }) === name
}

/** Lets the URL parser write the host: lower case, punycode, canonical addresses. */
function parseAuthority(authority: string): { hostname: string; port: string } {
  // Under https a port of 443 would vanish, and with it the difference to "no port" of the other schemes: harmless, since
  // every default port but that of http is 443.
  const port = /:(\d+)$/.exec(authority)?.[1] ?? ''
  const url = URL.canParse(`https://${authority}`) ? new URL(`https://${authority}`) : undefined
  const doubtful = /^\.|\.\./.test(authority) || Number(port) > 65_535 || (port !== '' && Number(port) === 0)
  if (url === undefined || doubtful) throw new PatternError('the host is not valid')
  return { hostname: url.hostname, port }
}

function parseMessaging(system: string, name: string, wildcard: boolean): Pattern {
  if (!SYSTEMS.includes(system)) {
    throw new PatternError(`unknown messaging system: expected ${SYSTEMS.slice(0, -1).join(', ')} or ${SYSTEMS.at(-1)}`)
  }
  return { kind: 'messaging', system, name, wildcard }
}
