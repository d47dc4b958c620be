/** The effective target of a hop, in the spelling of the rules; `undefined` if its spelling leaves a doubt. */

import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import { portOf } from '../base/urls.ts'
import type { NetworkTarget, Target } from './pattern.ts'
import { parsePattern } from './pattern.ts'

// Names that a resolver and a URL parser understand alike. Others ("%2e", full-width dots) could mean two hosts.
const PLAIN_HOST = /^[\w-]+(?:\.[\w-]+)*\.?$/

/** The canonical spellings of hosts; `''` of those that leave a doubt. Requests go to the same few all day. */
const canonical = new LRUCache<string, string>({ max: 1_000 })
/** Longer than any name of a host (RFC 1035 §2.3.4). */
const MAX_REMEMBERED = 255

/** The target of a connection that Node opens to `host`, which may be a bare IPv6 address. */
export function networkTarget(scheme: string, host: unknown, port: unknown): NetworkTarget | undefined {
  if (typeof host !== 'string') return undefined
  const number = Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65_535) return undefined
  const hostname = canonical.get(host) ?? rememberHost(host, canonicalHost(host))
  return hostname === '' ? undefined : { kind: 'network', scheme, host: hostname, port: number }
}

function rememberHost(host: string, hostname: string): string {
  if (host.length <= MAX_REMEMBERED) canonical.set(host, hostname)
  return hostname
}

function canonicalHost(host: string): string {
  const literal = hostLiteral(host)
  if (literal === undefined || !URL.canParse(`https://${literal}`)) return ''
  const { hostname } = new URL(`https://${literal}`)
  // "127.0.0.1.": a parser of URLs sees an address, a resolver sees a name and asks for it.
  return literal.endsWith('.') && !hostname.endsWith('.') ? '' : hostname
}

/** An address, bare or in brackets, or a plain name; a zone (`%eth0`) has no place in a URL. */
function hostLiteral(host: string): string | undefined {
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  if (isIPv6(address)) return address.includes('%') ? undefined : `[${address}]`
  return PLAIN_HOST.test(host) ? host : undefined
}

/** The target of a WHATWG origin such as `https://host:8443`. */
export function originTarget(origin: URL): NetworkTarget | undefined {
  const scheme = origin.protocol.slice(0, -1)
  if (scheme !== 'http' && scheme !== 'https') return undefined
  return { kind: 'network', scheme, host: origin.hostname, port: portOf(origin) }
}

/** The target of an announced destination; a wildcard names many and is therefore none. */
export function announcedTarget(destination: string): Target | undefined {
  try {
    const { wildcard, ...target } = parsePattern(destination)
    return wildcard ? undefined : withoutQueue(target)
  } catch {
    return undefined
  }
}

/** A target of RabbitMQ that names neither kind is a queue. */
function withoutQueue(target: Target): Target {
  if (target.kind === 'network' || target.through !== 'queue') return target
  const { through: _, ...queue } = target
  return queue
}
