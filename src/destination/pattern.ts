/** A destination as operators write it: `https://host[:port]`, `kafka:orders` and the like; at most one `*`. */

import { defaultPortOf, isLoopback } from '../base/urls.ts'
import { isPublicSuffix } from './public-suffix.ts'

/** A place on the network: an origin, with `host` as the WHATWG URL standard writes it. */
export interface NetworkTarget {
  readonly kind: 'network'
  readonly scheme: string
  readonly host: string
  readonly port: number
}

/** A queue, topic or subject: `system` is OpenTelemetry's `messaging.system`, or `worker` for a thread or a process. */
export interface MessagingTarget {
  readonly kind: 'messaging'
  readonly system: string
  readonly name: string
  /**
   * RabbitMQ only, whose exchanges and queues may have one name. A target without it is a queue; a pattern without it
   * stands for both.
   */
  readonly through?: 'exchange' | 'queue'
}

export type Target = NetworkTarget | MessagingTarget

/** A target whose host or name may start or end with a wildcard. */
export type Pattern = Target & { readonly wildcard: boolean }

/** Says why a pattern is refused. The texts are constant: the refused value is never repeated. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

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

/** Whether tokens would travel unencrypted to `pattern`, and not over the loopback interface. */
export function isCleartext(pattern: Target): boolean {
  return (
    pattern.kind === 'network' && (pattern.scheme === 'http' || pattern.scheme === 'grpc') && !isLoopback(pattern.host)
  )
}

/** Whether `target` is a thread or a process that takes over a caller, and no broker. */
export function isWorker(target: Target): boolean {
  return target.kind === 'messaging' && target.system === 'worker'
}

function parseNetwork(scheme: string, authority: string): Pattern {
  const defaultPort = defaultPortOf(scheme)
  if (defaultPort === undefined) throw new PatternError('unknown scheme: expected https, http, grpcs or grpc')
  const wildcard = authority.startsWith('*.')
  const rest = wildcard ? authority.slice(2) : authority
  if (rest.includes('*')) throw new PatternError('one * may stand for one whole leading host label only')
  const { hostname, port } = parseAuthority(rest)
  if (wildcard && (hostname.startsWith('[') || /^[\d.]+$/.test(hostname))) {
    throw new PatternError('a wildcard needs a host name, not an address')
  }
  // Anyone can register a name below it, and so receive what is sent to all.
  if (wildcard && isPublicSuffix(hostname)) {
    throw new PatternError('a wildcard must not stand on a public suffix')
  }
  return { kind: 'network', scheme, host: hostname, port: port === '' ? defaultPort : Number(port), wildcard }
}

/** The URL parser writes the host: lower case, punycode, canonical addresses. */
function parseAuthority(authority: string): { hostname: string; port: string } {
  // Under https a port of 443 would vanish, and with it the difference to "no port" of the other schemes: harmless,
  // since every default port but that of http is 443.
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
  return system === 'rabbitmq' ? parseRabbit(name, wildcard) : { kind: 'messaging', system, name, wildcard }
}

/** As RabbitMQ writes addresses (`/exchanges/:exchange`, `/queues/:queue`). */
const RABBIT_KIND = /^(exchange|queue)s\/(.+)$/

function parseRabbit(name: string, wildcard: boolean): Pattern {
  const kind = RABBIT_KIND.exec(name)
  if (kind === null) return { kind: 'messaging', system: 'rabbitmq', name, wildcard }
  const [, through, inner = ''] = kind
  // Its key would be that of another name.
  if (RABBIT_KIND.test(inner))
    throw new PatternError('exchanges/ and queues/ cannot begin the name of a queue or exchange')
  return {
    kind: 'messaging',
    system: 'rabbitmq',
    name: inner,
    through: through === 'exchange' ? 'exchange' : 'queue',
    wildcard,
  }
}

/**
 * The name by which rules and sealed tokens know what a message is published to: its exchange. The nameless exchange
 * brings a message to the queue that is called like its routing key (AMQP 0-9-1 §3.1.3.1), and a queue may be called
 * like an exchange that others publish to: so the two never get one name.
 */
export function rabbitNameOf(exchange: string, routingKey: string | undefined): string | undefined {
  if (exchange !== '') return `exchanges/${exchange}`
  return routingKey === undefined ? undefined : `queues/${routingKey}`
}
