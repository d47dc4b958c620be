/** The effective target of a hop, in the spelling of the rules; `undefined` where its spelling leaves a doubt. */

import { isIPv6 } from 'node:net'
import type { NetworkTarget, Target } from './pattern.ts'
import { parsePattern } from './pattern.ts'

// What a resolver and a URL parser understand alike. Anything else ("%2e", full-width dots) could mean two hosts.
const PLAIN_HOST = /^[\w-]+(?:\.[\w-]+)*\.?$/

/** The target of a connection that Node opens to `host`, which may be a bare IPv6 address. */
export function networkTarget(scheme: string, host: unknown, port: unknown): NetworkTarget | undefined {
  if (typeof host !== 'string') return undefined
  const literal = hostLiteral(host)
  if (literal === undefined) return undefined
  const number = Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65_535 || !URL.canParse(`https://${literal}`))
    return undefined
  const { hostname } = new URL(`https://${literal}`)
  // "127.0.0.1.": a parser of URLs sees an address, a resolver sees a name and asks for it.
  const doubtful = literal.endsWith('.') && !hostname.endsWith('.')
  return doubtful ? undefined : { kind: 'network', scheme, host: hostname, port: number }
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
  const port = origin.port === '' ? (scheme === 'https' ? 443 : 80) : Number(origin.port)
  return { kind: 'network', scheme, host: origin.hostname, port }
}

/** The target of an announced destination; a wildcard names many and is therefore none. */
export function announcedTarget(destination: string): Target | undefined {
  try {
    const { wildcard, ...target } = parsePattern(destination)
    return wildcard ? undefined : target
  } catch {
    return undefined
  }
}
