/** Which URLs of an issuer may be fetched: https, or http on the loopback interface. */

const LOOPBACK_V4 = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/

/** Whether a WHATWG `hostname` names this machine, by address or as `localhost` (RFC 6761 §6.3). */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || LOOPBACK_V4.test(hostname)
}

/** Parses `text` and returns the URL when keys may be fetched from it: no clear text, no userinfo, no fragment. */
export function parseSecureUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
  return secure && url.username === '' && url.password === '' && url.hash === '' ? url : undefined
}
