/** `node:http2` clients: decides for each request on a session that Node itself has connected. */

import type { ClientHttp2Session } from 'node:http2'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { promisify } from 'node:util'
import { context, trace } from '@opentelemetry/api'
import type { Decide, Hop } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { NetworkTarget } from '../destination/pattern.ts'
import { networkTarget, originTarget } from '../destination/target.ts'
import { AUTHORIZATION } from '../propagation/carrier.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import type { Http2Fields } from './http2-fields.ts'
import { fieldOf, hideField, withField } from './http2-fields.ts'

/** Where a session is connected, as far as its own arguments say. */
interface Route extends Pick<Hop, 'obstacle'> {
  readonly target: NetworkTarget | undefined
}
type Options = Readonly<Record<string, unknown>>
type Connect = (this: unknown, authority: unknown, options: unknown, ...rest: unknown[]) => ClientHttp2Session
type Request = (this: object, fields: Http2Fields | undefined, ...rest: unknown[]) => object

/** Of all sessions, so that those of a relay that was shut down are known to the next one. */
const routes = new WeakMap<object, Route>()
/** `node:http2` does not export the class of its sessions: it is known from the first of them on. */
const prototypes = new Set<{ request: Request }>()

/**
 * Wraps `http2.connect`, and `request` of the sessions that it returns. A session over a connection that somebody else
 * has opened (`createConnection`) is left alone: clients that do so, `@grpc/grpc-js` and undici among them, have ways of
 * their own, and a second decision would be one too many. Returns how to undo it.
 */
export function interceptHttp2(decide: Decide): () => void {
  const http2 = createRequire(import.meta.url)('node:http2') as { connect: Connect }
  const previous = http2.connect
  const restores = new Map<object, () => void>()
  let active = true
  const wrapAll = (): void => {
    for (const prototype of prototypes) {
      if (!restores.has(prototype)) restores.set(prototype, wrapRequest(prototype, decide))
    }
  }
  wrapAll()

  const connect: Connect = function (authority, options, ...rest) {
    const session = previous.call(this, authority, options, ...rest)
    if (!active || connectsItself(options)) return session
    routes.set(session, routeTo(authority, isObject(options) ? (options as Options) : {}))
    prototypes.add(Object.getPrototypeOf(session) as { request: Request })
    wrapAll()
    return session
  }
  http2.connect = Object.defineProperty(connect, promisify.custom, { value: promised(connect) })
  syncBuiltinESMExports()

  return () => {
    active = false
    for (const restore of restores.values()) restore()
    if (http2.connect === connect) http2.connect = previous
    syncBuiltinESMExports()
  }
}

/** What `util.promisify` makes of `connect`: its listener takes no error. */
function promised(connect: Connect): (authority: unknown, options: unknown) => Promise<ClientHttp2Session> {
  return (authority, options) =>
    new Promise((resolve, reject) => {
      const session = connect(authority, options, () => {
        session.off('error', reject)
        resolve(session)
      })
      session.once('error', reject)
    })
}

function wrapRequest(prototype: { request: Request }, decide: Decide): () => void {
  const previous = prototype.request
  let active = true
  const request: Request = function (fields, ...rest) {
    const route = active ? routes.get(this) : undefined
    const value = route === undefined ? undefined : valueFor(fields ?? {}, route, decide)
    if (value === undefined) return previous.call(this, fields, ...rest)
    const stream = previous.call(this, withField(fields ?? {}, AUTHORIZATION, value), ...rest)
    hideField(stream, AUTHORIZATION)
    return stream
  }
  prototype.request = request
  return () => {
    active = false
    if (prototype.request === request) prototype.request = previous
  }
}

function valueFor(fields: Http2Fields, { target, obstacle }: Route, decide: Decide): string | undefined {
  try {
    const ctx = context.active()
    const decision = decide(ctx, { target, obstacle: obstacleOf(fields, target) ?? obstacle })
    if (decision === undefined) return undefined
    recordOnSpan(trace.getSpan(ctx), eventOf(decision))
    return decision.verdict !== 'withhold' ? `Bearer ${decision.credential.reveal()}` : undefined
  } catch {
    // Deciding must never break a request; an undecided one leaves without a token.
    return undefined
  }
}

function obstacleOf(fields: Http2Fields, target: NetworkTarget | undefined): WithholdReason | undefined {
  if (fieldOf(fields, AUTHORIZATION) !== undefined) return 'own_credential'
  const path = fieldOf(fields, ':path')
  if (fieldOf(fields, ':method') === 'CONNECT' || (path !== undefined && !String(path).startsWith('/')))
    return 'proxied'
  // What a shared connection is asked for in the name of another origin, a gateway may pass on to that origin.
  const scheme = fieldOf(fields, ':scheme') ?? target?.scheme
  const named = [fieldOf(fields, ':authority'), fieldOf(fields, 'host')].filter((value) => value !== undefined)
  const elsewhere = scheme !== target?.scheme || named.some((authority) => !names(target, authority))
  return elsewhere ? 'custom_connection' : undefined
}

/** Whether `authority`, as it stands in a field, is that of `target`. */
function names(target: NetworkTarget | undefined, authority: unknown): boolean {
  if (target === undefined || typeof authority !== 'string') return false
  const origin = `${target.scheme}://${authority}`
  if (!/^[\w.:[\]-]+$/.test(authority) || !URL.canParse(origin)) return false
  const named = originTarget(new URL(origin))
  return named?.host === target.host && named.port === target.port
}

function connectsItself(options: unknown): boolean {
  return isObject(options) && typeof Reflect.get(options, 'createConnection') === 'function'
}

/** `connect` gives all of its options to `net.connect` or `tls.connect`, where these take the place of the authority. */
const OVERRIDES = ['host', 'port', 'servername', 'lookup', 'socket']

function routeTo(authority: unknown, options: Options): Route {
  const target = targetOf(authority, options)
  if (options['path'] || options['socketPath']) return { target: undefined, obstacle: 'unix_socket' }
  const overridden = OVERRIDES.some((name) => options[name] !== undefined && options[name] !== target?.host)
  return { target, obstacle: overridden ? 'custom_connection' : undefined }
}

/** What `connect` itself makes of a text, a `URL` or an object with some of its properties. */
function targetOf(authority: unknown, options: Options): NetworkTarget | undefined {
  const url = typeof authority === 'string' && URL.canParse(authority) ? new URL(authority) : authority
  if (!isObject(url)) return undefined
  const { protocol = options['protocol'] ?? 'https:', hostname, host, port, username, password } = url as Options
  if ((protocol !== 'https:' && protocol !== 'http:') || username || password) return undefined
  const number = port === '' || port === undefined ? (protocol === 'http:' ? 80 : 443) : port
  return networkTarget(protocol.slice(0, -1), hostname || host || 'localhost', number)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
