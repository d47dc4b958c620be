/** `node:http2` clients: decides for each request, when it is sent, on a session that Node itself has connected. */

import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Duplex } from 'node:stream'
import { PassThrough } from 'node:stream'
import { promisify } from 'node:util'
import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { isObject, valueUnderSymbol } from '../../base/own-property.ts'
import { packageUrl } from '../../base/package-url.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { withCallSite } from '../../context/call-sites.ts'
import { socketTargetOf } from '../../context/isolation/socket-opening.ts'
import { runWithoutCaller } from '../../context/without-caller.ts'
import type { Decide, Hop } from '../../destination/decision.ts'
import { eventOf, mayGetToken } from '../../destination/decision.ts'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { keyOf } from '../../destination/rules.ts'
import { networkTarget, originTarget } from '../../destination/target.ts'
import { AUTHORIZATION } from '../../propagation/carrier.ts'
import type { WithholdReason } from '../../telemetry/events.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { writeBearer } from '../../token/bearer.ts'
import type { LateToken } from './http2-submission.ts'
import { countStream, submitLate } from './http2-submission.ts'

/** The header section of a request in the two forms that Node takes: an object, or names and values in turn. */
type Http2Fields = Readonly<Record<string | symbol, unknown>> | readonly unknown[]

/** Where a session is connected, as far as its arguments say. */
interface Http2Route extends Pick<Hop, 'obstacle'> {
  readonly target: NetworkTarget | undefined
}
type Options = Readonly<Record<string, unknown>>
type Connect = (this: unknown, authority: unknown, options: unknown, ...rest: unknown[]) => ClientHttp2Session
type Request = (this: ClientHttp2Session, fields: Http2Fields | undefined, ...rest: unknown[]) => ClientHttp2Stream

/** The routes of all sessions, so that a relay knows those that were opened under another one, now shut down. */
const routes = new WeakMap<object, Http2Route>()
/** The tokens of gRPC calls, by their fields: grpc-js opens its sessions itself. */
const lateTokens = createObjectMetadata<LateToken>()

/** Lets the request that is made with `fields` carry what `token` returns when it is sent. */
export function addLateToken(fields: object, token: LateToken): void {
  lateTokens.set(fields, token)
}

/**
 * Wraps `http2.connect`, and `request` of all sessions. A session over a connection that other code opens
 * (`createConnection`) is left alone: `@grpc/grpc-js` and undici do so, which the relay covers elsewhere, and there
 * must not be a second decision. Returns how to undo it.
 */
export function interceptHttp2(decide: Decide): () => void {
  const http2 = createRequire(packageUrl)('node:http2') as { connect: Connect }
  const undo = combineUndos([patchRequest(sessionPrototype(http2.connect), decide), patchConnect(http2)])
  syncBuiltinESMExports()
  return () => {
    undo()
    syncBuiltinESMExports()
  }
}

function patchConnect(http2: { connect: Connect }): Undo {
  return patchMethod<Connect>(http2, 'connect', (previous, patch) => {
    const connect: Connect = function (authority, options, ...rest) {
      // What a session delivers unasked is for all who use it.
      const session = runWithoutCaller(() => previous.call(this, authority, options, ...rest))
      if (!patch.isActive || connectsItself(options)) return session
      routes.set(session, routeOf(session, authority, isObject(options) ? (options as Options) : {}))
      return session
    }
    return Object.defineProperty(connect, promisify.custom, { value: promisifyConnect(connect) })
  })
}

/** `node:http2` does not export the class of its sessions; one that is connected to nothing shows it. */
function sessionPrototype(connect: Connect): object {
  const createConnection = (): Duplex => new PassThrough()
  const session = connect('http://localhost', { createConnection })
  session.on('error', () => undefined)
  session.destroy()
  return Object.getPrototypeOf(session) as object
}

/** What `util.promisify` makes of `connect`, whose listener takes no error. */
function promisifyConnect(connect: Connect): (authority: unknown, options: unknown) => Promise<ClientHttp2Session> {
  return (authority, options) =>
    new Promise((resolve, reject) => {
      const session = connect(authority, options, () => {
        session.off('error', reject)
        resolve(session)
      })
      session.once('error', reject)
    })
}

function patchRequest(prototype: object, decide: Decide): Undo {
  return patchMethod<Request>(
    prototype,
    'request',
    (previous, patch) =>
      function (fields, ...rest) {
        const create = (): ClientHttp2Stream => previous.call(this, fields, ...rest)
        const token = patch.isActive ? lateTokenFor(this, fields ?? {}, decide) : undefined
        if (token !== undefined) return submitLate(this, create, () => (patch.isActive ? token() : undefined))
        const stream = create()
        countStream(this, stream)
        return stream
      },
  )
}

/** The token that is decided when the request is sent; `undefined` if it carries none in any case. */
function lateTokenFor(session: object, fields: Http2Fields, decide: Decide): LateToken | undefined {
  const added = lateTokens.get(fields)
  const route = routes.get(session)
  if (added !== undefined || route === undefined) return added
  const ctx = withCallSite(context.active())
  const late: LateToken = () => valueFor(ctx, fields, route, decide)
  if (mayGetToken(ctx, route, decide)) return late
  late()
  return undefined
}

function valueFor(
  ctx: Context,
  fields: Http2Fields,
  { target, obstacle }: Http2Route,
  decide: Decide,
): string | undefined {
  try {
    const decision = decide(ctx, { target, obstacle: obstacleOf(fields, target) ?? obstacle })
    if (decision === undefined) return undefined
    recordOnSpan(trace.getSpan(ctx), eventOf(decision))
    return decision.verdict !== 'withhold' ? writeBearer(decision.credential) : undefined
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
  // A gateway may pass on to another origin what it is asked for in the name of that origin.
  const scheme = fieldOf(fields, ':scheme') ?? target?.scheme
  const named = [fieldOf(fields, ':authority'), fieldOf(fields, 'host')].filter((value) => value !== undefined)
  const elsewhere = scheme !== target?.scheme || named.some((authority) => !isAuthorityOf(target, authority))
  return elsewhere ? 'custom_connection' : undefined
}

/** Whether `authority`, as it stands in a field, is that of `target`. */
function isAuthorityOf(target: NetworkTarget | undefined, authority: unknown): boolean {
  if (target === undefined || typeof authority !== 'string') return false
  const origin = `${target.scheme}://${authority}`
  if (!/^[\w.:[\]-]+$/.test(authority) || !URL.canParse(origin)) return false
  const named = originTarget(new URL(origin))
  return named?.host === target.host && named.port === target.port
}

/** The value of a field, whatever the case of its name. */
function fieldOf(fields: Http2Fields, name: string): unknown {
  const entries = Array.isArray(fields)
    ? fields.flatMap((each, i) => (i % 2 === 0 ? [[each, fields[i + 1]] as const] : []))
    : Object.entries(fields)
  return entries.find(([each]) => String(each).toLowerCase() === name)?.[1]
}

function connectsItself(options: unknown): boolean {
  return isObject(options) && typeof Reflect.get(options, 'createConnection') === 'function'
}

/**
 * `connect` gives all of its options to `net.connect` or `tls.connect`, where these take the place of the authority.
 */
const OVERRIDES = ['host', 'port', 'servername', 'lookup', 'socket']

function routeOf(session: object, authority: unknown, options: Options): Http2Route {
  const target = targetOf(authority, options)
  if (options['path'] || options['socketPath']) return { target: undefined, obstacle: 'unix_socket' }
  const overridden = OVERRIDES.some((name) => options[name] !== undefined && options[name] !== target?.host)
  const elsewhere = overridden || (target !== undefined && !isOpenedTo(session, target))
  return { target, obstacle: elsewhere ? 'custom_connection' : undefined }
}

/** Exactly what `connect` itself makes of a text, a `URL` or an object with some of its properties. */
function targetOf(authority: unknown, options: Options): NetworkTarget | undefined {
  const url = typeof authority === 'string' && URL.canParse(authority) ? new URL(authority) : authority
  if (!isObject(url)) return undefined
  const { hostname, host, port, username, password, protocol: named } = url as Options
  const protocol = named || options['protocol'] || 'https:'
  if ((protocol !== 'https:' && protocol !== 'http:') || username || password) return undefined
  const number = port !== '' ? port : named === 'http:' ? 80 : 443
  return networkTarget(protocol.slice(0, -1), hostname || host || 'localhost', number)
}

/** Whether the socket of the session was opened to `target`, whatever the arguments of `connect` said. */
function isOpenedTo(session: object, target: NetworkTarget): boolean {
  const socket = valueUnderSymbol(session, 'socket')
  const opening = isObject(socket) ? socketTargetOf(socket) : undefined
  if (opening === undefined) return false
  const opened = networkTarget(opening.encrypted ? 'https' : 'http', opening.host ?? 'localhost', opening.port)
  return opened !== undefined && keyOf(opened) === keyOf(target)
}
