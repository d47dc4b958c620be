/** Where the calls of a gRPC channel go, and why they must not carry a token if something stands in the way. */

import { isIPv4, isIPv6 } from 'node:net'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { networkTarget } from '../../destination/target.ts'
import type { WithholdReason } from '../../telemetry/events.ts'

/** Where all calls of one channel go: it is fixed when the channel is made. */
export interface GrpcRoute {
  readonly target: NetworkTarget | undefined
  readonly obstacle: WithholdReason | undefined
  /** What `:authority` says unless a call says otherwise. */
  readonly authority: unknown
}

/** What the relay reads of a channel. Since grpc-js 1.8 an inner channel has it. */
interface ChannelInternals {
  readonly internalChannel?: ChannelInternals
  readonly target?: TargetUri
  readonly options?: Readonly<Record<string, unknown>>
  readonly credentials?: ChannelCredentials
  readonly defaultAuthority?: unknown
}
interface ChannelCredentials {
  readonly callCredentials?: object
}

/** A target as gRPC reads it: `scheme://authority/path`, where the authority is a DNS server. */
interface TargetUri {
  readonly scheme?: string
  readonly authority?: string
  readonly path: string
}

const routes = new WeakMap<object, GrpcRoute>()

export function routeOf(channel: object): GrpcRoute {
  const known = routes.get(channel)
  if (known !== undefined) return known
  const { internalChannel } = channel as ChannelInternals
  const route = readRoute(internalChannel ?? (channel as ChannelInternals))
  routes.set(channel, route)
  return route
}

function readRoute({ target, options = {}, credentials = {}, defaultAuthority }: ChannelInternals): GrpcRoute {
  const scheme = schemeOf(credentials)
  const isTunnelled = 'grpc.http_connect_target' in options
  const uri = isTunnelled ? parseConnectTarget(options['grpc.http_connect_target']) : target
  const address = uri === undefined ? undefined : addressOf(uri)
  const route = (obstacle: WithholdReason | undefined): GrpcRoute => ({
    target:
      address === undefined || scheme === undefined ? undefined : networkTarget(scheme, address.host, address.port),
    obstacle,
    authority: defaultAuthority,
  })

  if (scheme === undefined) return route('custom_connection')
  if (uri?.scheme?.startsWith('unix')) return route('unix_socket')
  if (hasCallCredentials(credentials)) return route('own_credential')
  // In clear text the proxy would read the token; TLS reaches through it.
  if (isTunnelled && scheme === 'grpc') return route('proxied')
  const isElsewhere = address !== undefined && isRedirected(uri, options, defaultAuthority)
  return route(isElsewhere ? 'custom_connection' : undefined)
}

/** Whether another server than the target says may answer, or the same one under another name. */
function isRedirected(
  uri: TargetUri | undefined,
  options: Readonly<Record<string, unknown>>,
  authority: unknown,
): boolean {
  const asksOwnDnsServer = Boolean(uri?.authority)
  return asksOwnDnsServer || Boolean(options['grpc.ssl_target_name_override']) || authority !== uri?.path
}

// By name, because every copy of grpc-js has its own classes. Any other class may connect anywhere.
const SCHEMES: ReadonlyMap<string, 'grpc' | 'grpcs'> = new Map([
  ['InsecureChannelCredentialsImpl', 'grpc'],
  ['SecureChannelCredentialsImpl', 'grpcs'],
  ['CertificateProviderChannelCredentialsImpl', 'grpcs'],
  // gRPC composes only with credentials that are secure.
  ['ComposedChannelCredentialsImpl', 'grpcs'],
])

function schemeOf(credentials: ChannelCredentials): 'grpc' | 'grpcs' | undefined {
  return SCHEMES.get(credentials.constructor.name)
}

function hasCallCredentials({ callCredentials }: ChannelCredentials): boolean {
  return callCredentials !== undefined && addsCredentials(callCredentials)
}

/** Whether `callCredentials` of a channel or of one call add something to its calls. */
export function addsCredentials(callCredentials: unknown): boolean {
  return (callCredentials as object | null)?.constructor?.name !== 'EmptyCallCredentials'
}

/** The target that gRPC asks a proxy to connect to, if the environment names a proxy. */
const CONNECT_TARGET = /^(dns|ipv4|ipv6):(?:\/\/([^/]*)\/)?([^/]+)$/

function parseConnectTarget(text: unknown): TargetUri | undefined {
  const [, scheme, authority, path] = CONNECT_TARGET.exec(String(text)) ?? []
  if (scheme === undefined || path === undefined) return undefined
  return { scheme, path, ...(authority === undefined ? {} : { authority }) }
}

const ADDRESS = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d+))?$/
/** gRPC's default port, encrypted or not. */
const DEFAULT_PORT = 443

/** One host and its port. A list of addresses, or a scheme with its own resolver, is no single address. */
function addressOf({ scheme, path }: TargetUri): { host: string; port: number } | undefined {
  const [, bracketed, plain, port] = ADDRESS.exec(path) ?? []
  const host = isIPv6(path) ? path : (bracketed ?? plain)
  if (host === undefined || (bracketed !== undefined && !isIPv6(host))) return undefined
  const understood = scheme === 'dns' || (scheme === 'ipv4' && isIPv4(host)) || (scheme === 'ipv6' && isIPv6(host))
  return understood ? { host, port: Number(port ?? DEFAULT_PORT) } : undefined
}
