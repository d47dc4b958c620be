/** URLs: which of them may be fetched, and the ports of those that name none. */

const LOOPBACK_V4 = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/

/** Whether a WHATWG `hostname` names this machine, by address or as `localhost` (RFC 6761 §6.3). */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || LOOPBACK_V4.test(hostname)
}

/**
 * Parses `text` and returns the URL when keys may be fetched from it: no userinfo, no fragment, and clear text only on
 * the loopback interface unless `allowCleartext`.
 */
export function parseSecureUrl(text: string, allowCleartext = false): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const allowsHttp = allowCleartext || isLoopback(url.hostname)
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && allowsHttp)
  return secure && url.username === '' && url.password === '' && url.hash === '' ? url : undefined
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['grpc', 443],
  ['grpcs', 443],
])

/** By scheme, without its colon. */
export function defaultPortOf(scheme: string): number | undefined {
  return DEFAULT_PORTS.get(scheme)
}

/** The port that `url`, of http or https, leads to. */
export function portOf({ port, protocol }: Pick<URL, 'port' | 'protocol'>): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}
