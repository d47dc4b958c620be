/** The options `issuers` and `resolveIssuer`: which authorization servers are trusted, and which of their tokens. */

import * as v from 'valibot'
import type { Refuse } from '../base/schema.ts'
import { check, object } from '../base/schema.ts'
import { parseSecureUrl } from '../base/urls.ts'
import { CLAIM_PATH, parseClaimPath } from '../token/roles.ts'
import type { ClaimRule } from '../verification/issuer.ts'
import { defectOf } from '../verification/keys/key-rules.ts'
import type { ExchangeOptions } from './exchange.ts'
import { exchangeSchema } from './exchange.ts'
import type { IntrospectionOptions } from './introspection.ts'
import { introspectionSchema } from './introspection.ts'
import type { KeySetOptions } from './key-set.ts'
import { keySetSchema } from './key-set.ts'
import {
  aBoolean,
  aFunction,
  group,
  issuerUrl,
  list,
  oneOrMore,
  positiveSeconds,
  refuseRepeats,
  scopeList,
  text,
  variable,
  whole,
} from './parts.ts'

/** An authorization server whose access tokens are accepted (RFC 9068 §4). */
export interface IssuerOptions {
  /**
   * The `iss` of its tokens, compared character by character (RFC 8414 §3.3). Discovery starts here unless `jwksUri` or
   * `jwks` is given.
   */
  readonly issuer: string
  /**
   * The name of this service in the `aud` of its tokens: one name, or several of which one must be in the token. `null`
   * accepts tokens that were issued for any other service too; do not use it without another reason to trust them.
   */
  readonly audience: string | readonly string[] | null
  /**
   * The URL of the published keys: https, or http on the loopback interface or with `allowCleartext`. Default:
   * discovery (RFC 8414, OpenID Connect Discovery 1.0).
   */
  readonly jwksUri?: string
  /**
   * `true` accepts `http` on other hosts than the loopback interface, for `issuer`, `jwksUri`, the introspection
   * endpoint and the token endpoint: inside of a cluster, where the network is trusted or a mesh encrypts. Who can
   * change what is on that network can put other keys in place, and become any caller; secrets and tokens that this
   * service sends to the issuer can be read there. Metadata that was read over https still cannot name an http URL.
   * Default false.
   */
  readonly allowCleartext?: boolean
  /** The public keys themselves, as `{ keys: […] }` (RFC 7517 §5). Excludes `jwksUri`. Default: discovery. */
  readonly jwks?: { readonly keys: readonly object[] }
  /** Accepted `alg` values (RFC 7518 §3.1), asymmetric ones only. Default `RS256`, `PS256`, `ES256`, `EdDSA`. */
  readonly algorithms?: readonly string[]
  /**
   * Accepted `typ` of the header: one media type, or several of which the token must have one. `at+jwt` alone is the
   * strict choice, for issuers that follow RFC 9068 (§4). `null` accepts `at+jwt`, `JWT` and tokens without a `typ`,
   * because most issuers give their access tokens no more. Upper and lower case are the same, and `application/` may
   * precede.
   *
   * Whatever the `typ`, a token is refused if its claims name another kind: `at_hash`, `c_hash`, `s_hash`, `ds_hash` or
   * `urn:openid:params:jwt:claim:rt_hash`; `nonce`, unless Keycloak's `typ` claim says `Bearer`; `events`;
   * `token_introspection`; a `typ` claim other than `Bearer` or `DPoP`; a `token_use` other than `access` or
   * `access_token`; a `tokenName` other than `access_token`; a `token_type` that says refresh or ID token. An ID token
   * without any of these differs from an access token only in its `aud`: name an `audience` that is no client. Default:
   * as `null`.
   */
  readonly typ?: string | readonly string[] | null
  /**
   * Claims that must be present. Without `exp` in the list, tokens that never expire are accepted. Default `exp`,
   * `iat`, `sub`.
   */
  readonly requiredClaims?: readonly string[]
  /**
   * Accepted difference between the clocks, in seconds, 0 to 300. A token is accepted and forwarded for this long after
   * its `exp`. Default 5.
   */
  readonly clockToleranceSeconds?: number
  /** Longest accepted time since `iat`, in seconds, more than 0. Default: not limited. */
  readonly maxTokenAgeSeconds?: number
  /** Longest accepted time from `iat` to `exp`, in seconds, more than 0. Default: not limited. */
  readonly maxLifetimeSeconds?: number
  /**
   * Scopes that every token must have; without them the answer is 403 and names them (RFC 6750 §3.1). Default: none.
   */
  readonly requiredScopes?: readonly string[]
  /**
   * The claims that `credential.scopes` is read from, each a list or separated by spaces. Default `scope`, `scp`,
   * `roles`.
   */
  readonly scopeClaims?: readonly string[]
  /**
   * The claims that `credential.roles` is read from, each a text, which is one role, or a list of texts. A name with
   * dots is a path: `realm_access.roles`. A name that has `://` in it is one name, and a path whose names have dots is
   * written as a list: `['resource_access', 'my.client', 'roles']`. A claim of another form means no role (RFC 9068
   * §2.2.3.1). Default `roles`.
   */
  readonly roleClaims?: readonly (string | readonly string[])[]
  /**
   * Rules of the application: functions of the claims, called in their order, once per token. Only `true` accepts.
   * Default: none.
   */
  readonly claimRules?: readonly ClaimRule[]
  /** Longest accepted token, in bytes, 256 to 65536. Default 8192. */
  readonly maxTokenBytes?: number
  /** How the published keys of an issuer are fetched and kept. */
  readonly keySet?: KeySetOptions
  /**
   * How the issuer is asked about opaque tokens. One issuer can have this. The answer must pass the same checks as the
   * claims of a JWT (`audience`, `requiredClaims` and so on). Default: opaque tokens are refused.
   */
  readonly introspection?: IntrospectionOptions
  /** This service as a client of the issuer. Default: it asks for no tokens. */
  readonly exchange?: ExchangeOptions
}

/** See `resolveIssuer` of {@link TokenRelayOptions}. */
export type ResolveIssuer = (issuer: string) => Promise<IssuerOptions | undefined>

type PublicKey = Readonly<Record<string, unknown>>

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const ALGORITHM = `expected one of ${ASYMMETRIC.join(', ')}; none and HMAC are never accepted`
const AUDIENCE = 'required: a name, a list of names, or null to accept tokens for any audience'
const TYP = 'expected at+jwt, JWT, another type that ends in +jwt, a list of types, or null for at+jwt, JWT and none'
/** Types of JWTs (RFC 8725 §3.11): other words, such as `any`, would be taken for a type that no token has. */
const JWT_TYPE = /^([Aa]pplication\/)?([\w!#$&^.+-]+\+)?[Jj][Ww][Tt]$/
const TOLERANCE = 'expected 0 to 300 seconds'
const CLAIM_PATHS = 'expected a list of claim names, each with dots if it is a path, or a list of names'
const claimNames = () => v.array(text('expected a claim name'), 'expected a list of claim names')

const issuerMembers = group({
  issuer: v.pipe(text('expected the issuer identifier'), variable('TOKEN_RELAY_ISSUER', 'text')),
  audience: v.pipe(
    v.union([...oneOrMore(AUDIENCE), v.null()], AUDIENCE),
    variable('TOKEN_RELAY_AUDIENCE', 'list or null'),
  ),
  jwksUri: v.pipe(v.optional(issuerUrl()), variable('TOKEN_RELAY_JWKS_URI', 'text')),
  allowCleartext: v.pipe(v.optional(aBoolean(), false), variable('TOKEN_RELAY_ALLOW_CLEARTEXT', 'boolean')),
  jwks: v.optional(
    object(
      {
        keys: list(
          v.custom<PublicKey>(
            (key) => defectOf(key) === undefined,
            'expected a public signature key of sufficient strength',
          ),
          'expected a list of public keys',
        ),
      },
      'expected an object',
    ),
  ),
  algorithms: v.pipe(
    v.optional(list(v.picklist(ASYMMETRIC, ALGORITHM), 'expected a list of algorithms'), [
      'RS256',
      'PS256',
      'ES256',
      'EdDSA',
    ]),
    variable('TOKEN_RELAY_ALGORITHMS', 'list'),
  ),
  typ: v.pipe(
    v.optional(v.union([...oneOrMore(TYP, v.pipe(text(TYP), v.regex(JWT_TYPE, TYP))), v.null()], TYP), null),
    variable('TOKEN_RELAY_TYP', 'list or null'),
  ),
  requiredClaims: v.pipe(
    v.optional(claimNames(), ['exp', 'iat', 'sub']),
    variable('TOKEN_RELAY_REQUIRED_CLAIMS', 'list'),
  ),
  clockToleranceSeconds: v.pipe(
    v.optional(v.pipe(v.number(TOLERANCE), v.minValue(0, TOLERANCE), v.maxValue(300, TOLERANCE)), 5),
    variable('TOKEN_RELAY_CLOCK_TOLERANCE_SECONDS', 'number'),
  ),
  maxTokenAgeSeconds: v.pipe(v.optional(positiveSeconds()), variable('TOKEN_RELAY_MAX_TOKEN_AGE_SECONDS', 'number')),
  maxLifetimeSeconds: v.pipe(v.optional(positiveSeconds()), variable('TOKEN_RELAY_MAX_LIFETIME_SECONDS', 'number')),
  requiredScopes: v.pipe(v.optional(scopeList(), []), variable('TOKEN_RELAY_REQUIRED_SCOPES', 'list')),
  scopeClaims: v.pipe(
    v.optional(claimNames(), ['scope', 'scp', 'roles']),
    variable('TOKEN_RELAY_SCOPE_CLAIMS', 'list'),
  ),
  roleClaims: v.pipe(
    v.optional(
      v.array(
        v.union(
          [
            v.pipe(text(CLAIM_PATHS), v.regex(CLAIM_PATH, CLAIM_PATHS), v.transform(parseClaimPath)),
            list(text(CLAIM_PATHS), CLAIM_PATHS),
          ],
          CLAIM_PATHS,
        ),
        CLAIM_PATHS,
      ),
      ['roles'],
    ),
    variable('TOKEN_RELAY_ROLE_CLAIMS', 'list'),
  ),
  claimRules: v.optional(v.array(aFunction<ClaimRule>(), 'expected a list of functions'), []),
  maxTokenBytes: v.pipe(
    v.optional(whole(256, 65_536, 'bytes'), 8_192),
    variable('TOKEN_RELAY_MAX_TOKEN_BYTES', 'number'),
  ),
  keySet: v.optional(keySetSchema, {}),
  introspection: v.optional(introspectionSchema),
  exchange: v.optional(exchangeSchema),
})

type IssuerMembers = v.InferOutput<typeof issuerMembers>

const DISCOVERY =
  'discovery needs an issuer that is an https URL, or http on the loopback interface or with allowCleartext'
const CLEARTEXT = 'clear text is accepted only on the loopback interface; for other hosts set allowCleartext: true'

export const issuerSchema = v.pipe(
  issuerMembers,
  check((described: IssuerMembers, refuse) => {
    const { issuer, jwks, jwksUri, exchange, allowCleartext } = described
    if (jwks !== undefined && jwksUri !== undefined) refuse(['jwks'], 'contradicts jwksUri: give one of them')
    refuseCleartext(described, refuse)
    if (parseSecureUrl(issuer, allowCleartext) !== undefined) return
    if (jwks === undefined && jwksUri === undefined) refuse(['issuer'], `${DISCOVERY}; or give jwksUri or jwks`)
    if (exchange !== undefined && exchange.tokenEndpoint === undefined) {
      refuse(['exchange', 'tokenEndpoint'], `required: ${DISCOVERY}`)
    }
  }),
)

function refuseCleartext({ jwksUri, introspection, exchange, allowCleartext }: IssuerMembers, refuse: Refuse): void {
  const urls = [
    [['jwksUri'], jwksUri],
    [['introspection', 'endpoint'], introspection?.endpoint],
    [['exchange', 'tokenEndpoint'], exchange?.tokenEndpoint],
  ] as const
  for (const [path, url] of urls) {
    if (url !== undefined && parseSecureUrl(url, allowCleartext) === undefined) refuse(path, CLEARTEXT)
  }
}

export const issuersSchema = v.pipe(
  v.optional(v.array(issuerSchema, 'required: at least one issuer'), []),
  check((issuers, refuse) => {
    refuseRepeats(
      issuers.map(({ issuer }) => issuer),
      'issuer',
      refuse,
    )
    refuseSecondIntrospection(issuers, refuse)
  }),
)

export const resolveIssuerSchema = v.optional(aFunction<ResolveIssuer>())

/** An opaque token does not name its issuer, so only one issuer can be asked about it. */
function refuseSecondIntrospection(issuers: readonly { readonly introspection: unknown }[], refuse: Refuse): void {
  const asked = [...issuers.keys()].filter((index) => issuers[index]?.introspection !== undefined)
  for (const index of asked.slice(1)) {
    refuse([index, 'introspection'], 'another issuer has introspection already')
  }
}
