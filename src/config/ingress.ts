/** The options `ingress`: how requests are let in. */

import * as v from 'valibot'
import type { IngressMode } from '../ingress/http/gate.ts'
import { GRPC_HEALTH, isPlainPath } from '../ingress/http/public-path.ts'
import { aBoolean, group, list, oneOf, scopeList, secureUrl, text, variable } from './parts.ts'

/** How requests are let in. */
export interface IngressOptions {
  /**
   * `require` answers 401 to requests without a valid token. `optional` does so only if there is a bad token. `report`
   * decides and records as `require` does, and refuses no request: one that `require` would refuse has no caller, and
   * nothing is forwarded for it; see [rollout](../start/rollout.md). `off` lets all requests pass unverified; then
   * nothing is forwarded. If this option is given, the gate is in place from `createTokenRelay` on; if not, from the
   * first read of `relay.instrumentation` on. Programs that use only adapters set `off`. Messages are no requests: see
   * `consume` of their destination. Default `require`.
   */
  readonly mode?: IngressMode
  /**
   * For applications that have bearer tokens from elsewhere, too. `ignore`: in `optional` and `report`, a token that is
   * not one of the configured issuers (and of `resolveIssuer`) counts as none: a JWT that names another issuer or none,
   * and what is not a JWT, unless `introspection` is there to ask about it. The application has to check it by itself;
   * it is never forwarded. A token that names a configured issuer and fails is refused all the same, and so is one that
   * is longer than `maxTokenBytes`. `require` ignores no token. `refuse` refuses them all. Default `refuse`.
   */
  readonly foreignTokens?: 'refuse' | 'ignore'
  /**
   * The header field that requests bring their token in. Any other field than `authorization` holds the token alone,
   * without `Bearer`: `cf-access-jwt-assertion` (Cloudflare Access), `x-goog-iap-jwt-assertion` (Google IAP), or an
   * internal one. Exactly one line of it counts, and no list. Then `Authorization` is not read as a token, and is the
   * application's. Destinations get the token in `Authorization` as ever, and so do messages. Fields that have
   * another meaning, such as `host` and `cookie`, are refused. Default `authorization`.
   */
  readonly header?: string
  /**
   * Paths that are open without a token, such as `/health`. `/assets/*` opens `/assets/` and everything below it, but
   * not `/assets`, unless the router of the application serves that for `/assets/`, as Express does.
   * `grpc.health.v1.Health` opens the health checks of gRPC: `Check`, `List` and `Watch` of that service. Compared with
   * the path as sent, without decoding: a path that would have to be decoded or normalized first is not public, nor is
   * a request without one plain `Host`. Requests to these paths have no caller. Default: none.
   */
  readonly publicPaths?: readonly string[]
  /**
   * A path that the gate answers by itself on every server, in every mode, without a token: 200 if `relay.ready()`
   * holds, 503 if not, without a body, never stored by caches. For `GET` and `HEAD`; other methods are requests like
   * any other. The application does not see these requests. Default: none.
   */
  readonly readyPath?: string
  /**
   * URL of this service's protected resource metadata, named in every `WWW-Authenticate` as `resource_metadata` (RFC
   * 9728 §5.1): https, or http on the loopback interface. Default: where `protectedResource` is served, if it is.
   */
  readonly resourceMetadata?: string
  /** Serves the protected resource metadata of this service (RFC 9728), in every mode. Default: not served. */
  readonly protectedResource?: ProtectedResourceOptions
  /**
   * `true` lets CORS preflight requests pass without a token and without a caller: `OPTIONS` with `Origin` and
   * `Access-Control-Request-Method`, without a body, upgrade or method override, which browsers send by themselves. It
   * does not answer them: the application's code for `OPTIONS` runs. `false` answers 401, unless `cors` lists the
   * origin. Default false.
   */
  readonly allowPreflight?: boolean
  /** Lets pages in browsers read what the gate answers. Default: they see a network error. */
  readonly cors?: CorsOptions
}

/**
 * For pages of other origins (Fetch standard §3.3): what the gate answers in place of the application (400, 401, 403,
 * 503) shows them its status, `WWW-Authenticate` and `Retry-After`. What the application answers stays as it is: it
 * needs its own CORS.
 */
export interface CorsOptions {
  /**
   * The origins of the pages, each as `https://app.example[:port]`, compared to the letter; no `*` and no `null`. With
   * `allowPreflight: false` the gate answers the preflight requests of these origins by itself, and allows what they
   * ask for; with `true` the application answers them.
   */
  readonly origins: readonly string[]
  /**
   * `true` also answers requests that were made with cookies (`credentials: 'include'`), and lets preflights allow
   * them. Bearer tokens need no cookies. Default false.
   */
  readonly allowCredentials?: boolean
}

/** What this service publishes about itself at `/.well-known/oauth-protected-resource` (RFC 9728 §2 and §3). */
export interface ProtectedResourceOptions {
  /**
   * The resource identifier: this service's URL as clients know it, without query or fragment. https, or http on the
   * loopback interface. Its path is the end of the path of the metadata (RFC 9728 §3.1).
   */
  readonly resource: string
  /** Scopes that clients may ask for, named in the metadata. Default: not published. */
  readonly scopesSupported?: readonly string[]
}

const PLAIN_PATH =
  'expected a path that starts with / and has no query, escape, parameter, dot segment or empty segment'
const plainPath = v.pipe(text('expected a path such as /health'), v.check(isPlainPath, PLAIN_PATH))
const PUBLIC_PATH = `${PLAIN_PATH}, or ${GRPC_HEALTH}`
const publicPath = v.pipe(
  text('expected a path such as /health'),
  v.check((path) => path === GRPC_HEALTH || isPlainPath(path), PUBLIC_PATH),
)
const FIELD = 'expected the name of a header field that holds a token and has no other meaning'
const tokenField = v.pipe(
  text(FIELD),
  v.check((name) => isTokenField(name.toLowerCase()), FIELD),
  v.transform((name) => name.toLowerCase()),
)
const ORIGIN = 'expected an origin such as https://app.example: no path, no * and no null'
const origin = v.pipe(text(ORIGIN), v.check(isOrigin, ORIGIN))
const ORIGINS = 'required: a list of origins'
// RFC 9728 §1.2: a fragment is not allowed, a query should not be there.
const RESOURCE = 'required: the https URL of this service, or http on the loopback interface, without a query'

export const ingressSchema = group({
  mode: v.pipe(
    v.optional(oneOf('require', 'optional', 'report', 'off'), 'require'),
    variable('TOKEN_RELAY_INGRESS_MODE', 'text'),
  ),
  foreignTokens: v.pipe(
    v.optional(oneOf('refuse', 'ignore'), 'refuse'),
    variable('TOKEN_RELAY_INGRESS_FOREIGN_TOKENS', 'text'),
  ),
  header: v.pipe(v.optional(tokenField, 'authorization'), variable('TOKEN_RELAY_INGRESS_HEADER', 'text')),
  publicPaths: v.pipe(
    v.optional(v.array(publicPath, 'expected a list of paths'), []),
    variable('TOKEN_RELAY_INGRESS_PUBLIC_PATHS', 'list'),
  ),
  readyPath: v.pipe(v.optional(plainPath), variable('TOKEN_RELAY_INGRESS_READY_PATH', 'text')),
  resourceMetadata: v.pipe(
    v.optional(
      v.pipe(
        secureUrl(),
        v.transform((url) => new URL(url).href),
      ),
    ),
    variable('TOKEN_RELAY_INGRESS_RESOURCE_METADATA', 'text'),
  ),
  protectedResource: v.optional(
    group({
      resource: v.pipe(
        secureUrl(RESOURCE),
        v.check((url) => !url.includes('?'), RESOURCE),
        variable('TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_RESOURCE', 'text'),
      ),
      scopesSupported: v.pipe(
        v.optional(scopeList()),
        variable('TOKEN_RELAY_INGRESS_PROTECTED_RESOURCE_SCOPES_SUPPORTED', 'list'),
      ),
    }),
  ),
  allowPreflight: v.pipe(v.optional(aBoolean(), false), variable('TOKEN_RELAY_INGRESS_ALLOW_PREFLIGHT', 'boolean')),
  cors: v.optional(
    group({
      origins: v.pipe(list(origin, ORIGINS), variable('TOKEN_RELAY_INGRESS_CORS_ORIGINS', 'list')),
      allowCredentials: v.pipe(
        v.optional(aBoolean(), false),
        variable('TOKEN_RELAY_INGRESS_CORS_ALLOW_CREDENTIALS', 'boolean'),
      ),
    }),
  ),
})

/** As browsers write it: in lower case, and without a port that is the default one. */
function isOrigin(text: string): boolean {
  return /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

/** Fields that servers, proxies, browsers or tracers give a meaning, or write by themselves. */
const OTHER_FIELDS =
  /^(?:accept|access-control|content|if|proxy|sec|x-b3)-|-bin$|^x-forwarded-(?:for|host|port|proto|server|prefix|uri)$/
const OTHER_NAMES: ReadonlySet<string> = new Set(
  (
    'accept age allow alt-svc b3 baggage cache-control connection cookie date dnt dpop etag expect expires forwarded from host ' +
    'http2-settings keep-alive last-modified location max-forwards origin pragma prefer range referer retry-after server ' +
    'set-cookie te traceparent tracestate trailer transfer-encoding upgrade user-agent vary via warning www-authenticate ' +
    'x-http-method x-http-method-override x-method-override x-real-ip'
  ).split(' '),
)

/** RFC 9110 §5.1; metadata of gRPC whose name ends in `-bin` is not text. */
function isTokenField(name: string): boolean {
  return /^[\w!#$%&'*+\-.^`|~]{1,128}$/.test(name) && !OTHER_FIELDS.test(name) && !OTHER_NAMES.has(name)
}
