/** `watchTokens`: which hosts the tokens of a test reached, and which line of the application sent them. */

import type { Undo } from '../../base/patch-method.ts'
import { combineUndos } from '../../base/patch-method.ts'
import type { TestServer } from '../destination/destination.ts'
import { describeToken } from '../destination/received.ts'
import { createFailure } from '../failure.ts'
import type { FoundToken } from '../found-tokens.ts'
import { findTokens } from '../found-tokens.ts'
import { watchCallSites } from './call-sites.ts'
import { watchHttp2 } from './http2-wire.ts'
import type { Peer } from './peer.ts'
import { hostOf } from './peer.ts'
import type { WireOptions, Written } from './wire.ts'
import { watchWire } from './wire.ts'

/** A token that this process has sent. */
export interface SentToken extends FoundToken {
  /** Host and port of the connection, as the application asked for them. */
  readonly host: string
  /** The line of the application that sent it: `src/orders.ts:12:5 (sendOrder)`, if it could be found. */
  readonly site: string | undefined
}

/** A host: a test destination, or an origin such as `https://orders.example.com`. */
export type Host = string | URL | Pick<TestServer, 'origin'>

/** What {@link TokenWatch.expectOnly} lets pass besides. */
export interface ExpectOnlyOptions {
  /**
   * Hosts that may get tokens and need not: the service under test, if the test calls it over HTTP, and the issuer, if
   * tokens are exchanged. Default: none.
   */
  readonly allow?: readonly Host[]
}

/** Watches where tokens go. */
export interface TokenWatch extends AsyncDisposable, Disposable {
  /** What was sent so far, the oldest first. */
  readonly sent: readonly SentToken[]
  /**
   * Passes if each of `hosts` has got a token, and no other host has.
   *
   * @throws AssertionError that names the host, and file and line of the application call that sent the token.
   */
  expectOnly(hosts: readonly Host[], options?: ExpectOnlyOptions): void
  /**
   * Passes if no token was sent to any host.
   *
   * @throws AssertionError as {@link TokenWatch.expectOnly}.
   */
  expectNone(options?: ExpectOnlyOptions): void
  /** Ends the watch. */
  stop(): void
}

/**
 * From now on finds every token that this process writes to a connection that it has opened: by `fetch`, undici,
 * `http`, `https`, `http2`, gRPC and clients of brokers; in a header line, a path or a body; put there by the relay or
 * by hand. Sealed tokens do not count, because the hosts on the way cannot read them.
 *
 * For tests only: it remembers where every promise was created, which makes the process slow. It does not see other
 * processes and threads (look at their test destinations), tokens in another encoding than base64 and percent-encoding,
 * frames of WebSockets, datagrams, the body of requests over HTTP/2, and before Node.js 22.17 nothing over HTTP/2.
 */
export function watchTokens(): TokenWatch {
  return new WireWatch()
}

const MAX_TAIL = 16_384
/** The characters of tokens. */
const TAIL = /[\w.-]+$/

class WireWatch implements TokenWatch {
  readonly sent: (SentToken & { readonly peer: Peer; readonly request: string })[] = []
  readonly #sites = watchCallSites()
  /** The end of what was written to a connection: a token may come in pieces. */
  readonly #tails = new WeakMap<object, string>()
  readonly #undo: Undo

  constructor() {
    const options: WireOptions = {
      currentSite: () => this.#sites.current(),
      onWritten: (written) => this.#search(written),
    }
    this.#undo = combineUndos([watchWire(options), watchHttp2(options)])
  }

  #search({ peer, connection, text, site }: Written): void {
    // The body of the request before may end like a token.
    const whole = REQUEST_LINE.test(text) ? text : (this.#tails.get(connection) ?? '') + text
    const { request, parts } = readRequest(whole)
    const tokens = parts.flatMap(([field, part]) => findTokens(field, part).tokens)
    for (const token of tokens.filter(({ isSealed }) => !isSealed)) {
      this.sent.push({ ...token, host: peer.names[0] ?? 'an unknown host', site, peer, request })
    }
    // What was found must not be found again.
    this.#tails.set(connection, tokens.length > 0 ? '' : (TAIL.exec(whole.slice(-MAX_TAIL))?.[0] ?? ''))
  }

  expectOnly(hosts: readonly Host[], { allow = [] }: ExpectOnlyOptions = {}): void {
    const problem = this.#problemWith(hosts, allow)
    if (problem !== undefined) throw createFailure(problem, this.expectOnly)
  }

  expectNone({ allow = [] }: ExpectOnlyOptions = {}): void {
    const problem = this.#problemWith([], allow)
    if (problem !== undefined) throw createFailure(problem, this.expectNone)
  }

  #problemWith(hosts: readonly Host[], allow: readonly Host[]): string | undefined {
    const [expected, allowed] = [hosts.map(authorityOf), allow.map(authorityOf)]
    const strays = this.sent.filter(({ peer }) => ![...expected, ...allowed].some((host) => leadsTo(peer, host)))
    const missed = expected.filter((host) => !this.sent.some(({ peer }) => leadsTo(peer, host)))
    if (strays.length > 0) return describeStrays(strays, expected)
    return missed.length === 0 ? undefined : `expected a token to reach ${missed.join(' and ')}, and none did`
  }

  stop(): void {
    this.#undo()
    this.#sites.stop()
  }

  [Symbol.dispose](): void {
    this.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
  }
}

const MAX_LISTED = 10

function describeStrays(strays: WireWatch['sent'], expected: readonly string[]): string {
  const lines = strays.slice(0, MAX_LISTED).map((stray) => {
    const { peer, host, request, site = 'a line that could not be found: only libraries are on the way' } = stray
    return `\n  ${peer.isSecure ? 'over TLS to ' : 'to '}${host}${request}: ${describeToken(stray)}\n    sent by ${site}`
  })
  const more = strays.length > MAX_LISTED ? `\n  and ${strays.length - MAX_LISTED} more` : ''
  const named = expected.length === 0 ? 'no host' : `only ${expected.join(' and ')}`
  return `tokens reached a host that the test does not name${lines.join('')}${more}\nexpected: ${named}`
}

interface ReadRequest {
  /** ` (GET /path)`, or nothing if it is no HTTP request. */
  readonly request: string
  readonly parts: readonly (readonly [field: string, text: string])[]
}

const REQUEST_LINE = /^([A-Z]+) (\S+) HTTP\/[\d.]+\r\n/

/** Takes the head of a request apart; anything else is a body. */
function readRequest(text: string): ReadRequest {
  const [line, method = '', path = ''] = REQUEST_LINE.exec(text) ?? []
  if (line === undefined) return { request: '', parts: [['body', text]] }
  const end = text.indexOf('\r\n\r\n')
  const head = text.slice(line.length, end === -1 ? undefined : end)
  const fields = head.split('\r\n').map((field) => {
    const colon = field.indexOf(':')
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const
  })
  const body = end === -1 ? '' : text.slice(end + 4)
  const request = ` (${method} ${findTokens('path', path).text.split('?')[0]})`
  return { request, parts: [['path', path], ...fields, ['body', body]] }
}

function authorityOf(host: Host): string {
  const text = typeof host === 'string' ? host : host instanceof URL ? host.href : host.origin
  // `localhost:3000` is a URL without a host.
  if (!URL.canParse(text) || new URL(text).hostname === '')
    throw new TypeError('hosts: expected origins such as https://orders.example.com')
  // The URL parser has no ports for other schemes.
  return hostOf(new URL(text.replace(/^grpcs?:/, (scheme) => (scheme === 'grpc:' ? 'http:' : 'https:'))))
}

/** `localhost` is whichever loopback address it got. */
function leadsTo({ names }: Peer, host: string): boolean {
  const port = /^localhost(:\d+)$/.exec(host)?.[1]
  return names.includes(host) || (port !== undefined && names.some((name) => isLoopbackAt(name, port)))
}

function isLoopbackAt(name: string, port: string): boolean {
  return name === `127.0.0.1${port}` || name === `[::1]${port}`
}
