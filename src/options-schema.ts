/** What zod checks the options against: names, ranges, defaults, and one sentence for each mistake. */

import * as z from 'zod'
import type { Pattern } from './destination/pattern.ts'
import { isCleartext, isWorker, PatternError, parsePattern } from './destination/pattern.ts'
import type { ConsumeRule, Rule } from './destination/rules.ts'
import { keyOf } from './destination/rules.ts'
import type { ClientSettings } from './exchange/settings.ts'
import { isPlainPath } from './ingress/public-path.ts'
import { auditSchema } from './options-audit.ts'
import { exchangeRuleSchema, exchangeSchema } from './options-exchange.ts'
import { absent, aFunction, group, list, millis, SCOPES, scope, secureUrl, text } from './options-parts.ts'
import type { RevocationList } from './revocation/list.ts'
import type { SealingKey } from './sealing/key.ts'
import type { KeyDescription } from './sealing/key-ring.ts'
import { sealingKeyOf } from './sealing/key-ring.ts'
import type { ReplayWindow } from './sealing/replay-window.ts'
import { own } from './token/own.ts'
import type { ClaimRule } from './verification/issuer.ts'
import { defectOf } from './verification/key-rules.ts'
import { parseSecureUrl } from './verification/secure-url.ts'

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

const AUDIENCE = 'required: a name, a list of names, or null to accept tokens for any audience'
const TYP = 'expected a media type such as at+jwt, or null'

const keySetSchema = group({
  timeoutMillis: millis(5_000),
  cooldownMillis: millis(30_000, 0),
  maxAgeMillis: millis(600_000),
  staleMillis: millis(3_600_000, 0),
  maxBytes: z.int('expected whole bytes').min(1, 'expected whole bytes, at least 1').default(1_048_576),
})

const SECRET = 'required: the secret of the client'
const introspectionSchema = group({
  endpoint: secureUrl('required: an https URL, or http on the loopback interface'),
  clientId: text('required: what this service is called at the issuer'),
  clientSecret: text(SECRET),
  clientAuthentication: z
    .enum(['client_secret_basic', 'client_secret_post'], 'expected client_secret_basic or client_secret_post')
    .default('client_secret_basic'),
  timeoutMillis: millis(5_000),
  cacheMillis: millis(5_000, 0),
})

export const issuerSchema = group({
  issuer: text('expected the issuer identifier'),
  audience: z.union([text(AUDIENCE).transform((name) => [name]), list(text(AUDIENCE), AUDIENCE), z.null()], AUDIENCE),
  jwksUri: secureUrl('expected an https URL, or http on the loopback interface').optional(),
  jwks: group({
    keys: list(
      z
        .unknown()
        .refine((key) => defectOf(key) === undefined, 'expected a public signature key of sufficient strength'),
      'expected a list of public keys',
    ),
  }).optional(),
  algorithms: list(
    z.enum(ASYMMETRIC, 'expected an asymmetric JWS algorithm such as ES256; none and HMAC are never accepted'),
    'expected a list of algorithms',
  ).default(['RS256', 'PS256', 'ES256', 'EdDSA']),
  typ: z.union([text(TYP), z.null()], TYP).default('at+jwt'),
  requiredClaims: z
    .array(text('expected a claim name'), 'expected a list of claim names')
    .default(['exp', 'iat', 'sub']),
  clockToleranceSeconds: z
    .number('expected 0 to 300 seconds')
    .min(0, 'expected 0 to 300 seconds')
    .max(300, 'expected 0 to 300 seconds')
    .default(5),
  maxTokenAgeSeconds: z.number('expected seconds, more than 0').positive('expected seconds, more than 0').optional(),
  maxTokenBytes: z
    .int('expected 256 to 65536 bytes')
    .min(256, 'expected 256 to 65536 bytes')
    .max(65_536, 'expected 256 to 65536 bytes')
    .default(8_192),
  maxLifetimeSeconds: z.number('expected seconds, more than 0').positive('expected seconds, more than 0').optional(),
  requiredScopes: z.array(scope, SCOPES).default([]),
  scopeClaims: z
    .array(text('expected a claim name'), 'expected a list of claim names')
    .default(['scope', 'scp', 'roles']),
  claimRules: z.array(aFunction<ClaimRule>('expected a function'), 'expected a list of functions').default([]),
  keySet: keySetSchema.prefault(absent),
  introspection: introspectionSchema.optional(),
  exchange: exchangeSchema.optional(),
}).superRefine((issuer, check) => {
  const [jwks, jwksUri] = [own(issuer, 'jwks'), own(issuer, 'jwksUri')]
  if (jwks !== undefined && jwksUri !== undefined) {
    check.addIssue({ code: 'custom', path: ['jwks'], message: 'contradicts jwksUri: give one of them' })
  }
  if (jwks === undefined && jwksUri === undefined && parseSecureUrl(issuer.issuer) === undefined) {
    const message = 'discovery needs an https URL, or http on the loopback interface; or give jwksUri or jwks'
    check.addIssue({ code: 'custom', path: ['issuer'], message })
  }
  const exchange = own(issuer, 'exchange') as ClientSettings | undefined
  if (exchange !== undefined && exchange.tokenEndpoint === undefined && parseSecureUrl(issuer.issuer) === undefined) {
    const message = 'required: discovery needs an issuer that is an https URL, or http on the loopback interface'
    check.addIssue({ code: 'custom', path: ['exchange', 'tokenEndpoint'], message })
  }
})

const SEAL = 'expected true, false, or the kid of a sealing key'
const destinationSchema = group({
  to: text('required: scheme://host[:port] or system:name'),
  allowCleartext: z.boolean('expected true or false').default(false),
  seal: z.union([z.boolean(SEAL), text(SEAL)], SEAL).optional(),
  detached: z.enum(['withhold', 'allow'], 'expected withhold or allow').default('withhold'),
  maxHeaderBytes: z
    .int('expected 256 to 1048576 bytes')
    .min(256, 'expected 256 to 1048576 bytes')
    .max(1_048_576, 'expected 256 to 1048576 bytes')
    .default(16_384),
  exchange: exchangeRuleSchema.optional(),
  consume: group({
    onExpired: z.enum(['reject', 'exchange', 'workload'], 'expected reject, exchange or workload').default('reject'),
    onMissing: z.enum(['reject', 'nobody'], 'expected reject or nobody').default('reject'),
  }).optional(),
}).transform((rule, check): Rule => {
  const refuse = (key: string, message: string): never => {
    check.addIssue({ code: 'custom', path: [key], message })
    return z.NEVER
  }
  const pattern = patternOf(rule.to)
  if (typeof pattern === 'string') return refuse('to', pattern)
  if (isCleartext(pattern) && !rule.allowCleartext) {
    return refuse(
      'to',
      'clear text is accepted on the loopback interface only, elsewhere it takes allowCleartext: true',
    )
  }
  const seal = own(rule, 'seal') as boolean | string | undefined
  const consume = own(rule, 'consume') as ConsumeRule | undefined
  for (const [name, value] of Object.entries({ seal, consume })) {
    if (pattern.kind === 'network' && value !== undefined) return refuse(name, 'is for messaging destinations only')
  }
  for (const [name, value] of Object.entries({ seal: seal === false || undefined, consume })) {
    if (isWorker(pattern) && value !== undefined)
      return refuse(name, 'is for brokers only: a worker gets sealed tokens')
  }
  const { to, detached, maxHeaderBytes } = rule
  const exchange = own(rule, 'exchange') as Rule['exchange']
  return {
    to,
    pattern,
    seal: pattern.kind === 'messaging' && (seal ?? true),
    detached,
    maxHeaderBytes,
    exchange,
    consume: consume ?? { onExpired: 'reject', onMissing: 'reject' },
  }
})

function patternOf(to: string): Pattern | string {
  try {
    return parsePattern(to)
  } catch (error) {
    return error instanceof PatternError ? error.message : 'not a destination'
  }
}

const KID = 'required: up to 64 letters, digits and . _ ~ -'
const A_SECRET = 'expected 32 random bytes in base64url'
const A_FILE = 'expected the path of a file'
const sealingKeySchema = group({
  kid: z.string(KID).regex(/^[\w.~-]{1,64}$/, KID),
  secret: text(A_SECRET).optional(),
  secretFile: text(A_FILE).optional(),
  jwk: z.looseObject({}, 'expected a JWK').optional(),
  jwkFile: text(A_FILE).optional(),
}).transform((described, check): SealingKey => {
  const key = sealingKeyOf(described as KeyDescription)
  if (!('problem' in key)) return key
  check.addIssue({ code: 'custom', path: [key.member], message: key.problem })
  return z.NEVER
})

const PRODUCER = 'expected a name of up to 128 characters'
const sealingSchema = group({
  keys: z
    .array(sealingKeySchema, 'expected a list of keys')
    .default([])
    .superRefine((keys, check) => {
      // A key that was refused is there as nothing.
      const kids = keys.map((key: SealingKey | undefined) => key?.kid ?? crypto.randomUUID())
      refuseRepeats(kids, 'kid', check)
    }),
  producer: text(PRODUCER).max(128, PRODUCER).optional(),
  maxAgeSeconds: z.number('expected seconds, more than 0').positive('expected seconds, more than 0').default(3_600),
  paddingBytes: z
    .int('expected 1 to 4096 bytes')
    .min(1, 'expected 1 to 4096 bytes')
    .max(4_096, 'expected 1 to 4096 bytes')
    .default(256),
  maxOpenings: z.int('expected 1 to 1000').min(1, 'expected 1 to 1000').max(1_000, 'expected 1 to 1000').default(1),
  replayWindow: z.custom<ReplayWindow>(isReplayWindow, 'expected a replay window').optional(),
})

const publicPath = text('expected a path such as /health').refine(
  isPlainPath,
  'expected a path that starts with / and has no query, escape, parameter, dot segment or empty segment',
)

const RESOURCE_METADATA = 'expected an https URL, or http on the loopback interface'
const RESOURCE = 'the https URL of this service, or http on the loopback interface, without a query'

export const optionsSchema = z
  .strictObject(
    {
      issuers: z
        .array(issuerSchema, 'required: at least one issuer')
        .default([])
        .superRefine((issuers, check) => {
          refuseRepeats(
            issuers.map(({ issuer }) => issuer),
            'issuer',
            check,
          )
          refuseSecondIntrospection(issuers, check)
        }),
      resolveIssuer: aFunction<(issuer: string) => unknown>('expected a function').optional(),
      destinations: z
        .array(destinationSchema, 'expected a list of destinations')
        .default([])
        .superRefine((rules, check) => refuseRepeats(rules.map(identityOf), 'to', check)),
      ingress: group({
        mode: z.enum(['require', 'optional', 'off'], 'expected require, optional or off').default('require'),
        publicPaths: z.array(publicPath, 'expected a list of paths').default([]),
        resourceMetadata: secureUrl(RESOURCE_METADATA)
          .transform((url) => new URL(url).href)
          .optional(),
        protectedResource: group({
          // RFC 9728 §1.2: a fragment is not allowed, a query should not be there.
          resource: secureUrl(`required: ${RESOURCE}`).refine((url) => !url.includes('?'), `required: ${RESOURCE}`),
          scopesSupported: z.array(scope, SCOPES).optional(),
        }).optional(),
        allowPreflight: z.boolean('expected true or false').default(false),
      }).prefault(absent),
      egress: group({
        mode: z.enum(['enforce', 'report'], 'expected enforce or report').default('enforce'),
        detector: z.enum(['off', 'warn'], 'expected off or warn').default('off'),
      }).prefault(absent),
      sealing: sealingSchema.prefault(absent),
      revocation: group({
        list: z.custom<RevocationList>(isRevocationList, 'expected a revocation list').optional(),
        onUnavailable: z.enum(['reject', 'accept'], 'expected reject or accept').default('reject'),
      }).prefault(absent),
      cache: group({
        maxEntries: z
          .int('expected 0 to 10000000 entries')
          .min(0, 'expected 0 to 10000000 entries')
          .max(10_000_000, 'expected 0 to 10000000 entries')
          .default(10_000),
      }).prefault(absent),
      audit: auditSchema.prefault(absent),
      telemetry: group({
        actors: z.enum(['hash', 'plain'], 'expected hash or plain').default('hash'),
      }).prefault(absent),
      fingerprintKey: z.string('expected at least 16 characters').min(16, 'expected at least 16 characters').optional(),
    },
    'required: an object with issuers',
  )
  .superRefine((options, check) => {
    const exchanges = options.issuers.some((issuer) => own(issuer, 'exchange') !== undefined)
    options.destinations.forEach((rule, index) => {
      if (rule?.exchange === undefined || exchanges) return
      const message = 'no issuer has exchange: how this service asks for other tokens'
      check.addIssue({ code: 'custom', path: ['destinations', index, 'exchange'], message })
    })
    options.destinations.forEach((rule, index) => {
      if (rule?.consume === undefined || rule.consume.onExpired === 'reject' || exchanges) return
      const message = 'no issuer has exchange: how this service asks for other tokens'
      check.addIssue({ code: 'custom', path: ['destinations', index, 'consume', 'onExpired'], message })
    })
    refuseUnknownKids(options.destinations, options.sealing.keys, check)
    refuseUnsealedCaches(options.issuers, options.sealing.keys, check)
    if (options.issuers.length > 0 || own(options, 'resolveIssuer') !== undefined) return
    check.addIssue({ code: 'custom', path: ['issuers'], message: 'required: at least one issuer' })
  })

function isRevocationList(value: unknown): boolean {
  const list = value as Partial<RevocationList> | null
  return typeof list === 'object' && typeof list?.isRevoked === 'function' && typeof list.revoke === 'function'
}

function isReplayWindow(value: unknown): boolean {
  return typeof value === 'object' && typeof (value as Partial<ReplayWindow> | null)?.count === 'function'
}

/** A rule that names a key is meant for whoever has that key, and for nobody else. */
function refuseUnknownKids(rules: readonly Rule[], keys: readonly SealingKey[], check: z.RefinementCtx): void {
  rules.forEach(({ seal }, index) => {
    if (typeof seal !== 'string' || keys.some(({ kid }) => kid === seal)) return
    check.addIssue({ code: 'custom', path: ['destinations', index, 'seal'], message: 'names no key of sealing.keys' })
  })
}

/** Whoever has a public key could seal a token of his own, for others to use. */
function refuseUnsealedCaches(
  issuers: readonly Readonly<Record<string, unknown>>[],
  keys: readonly (SealingKey | undefined)[],
  check: z.RefinementCtx,
): void {
  if (keys.some((key) => key?.alg === 'A256KW')) return
  issuers.forEach((issuer, index) => {
    const exchange = own(issuer, 'exchange') as ClientSettings | undefined
    if (exchange?.sharedCache === undefined) return
    const path = ['issuers', index, 'exchange', 'sharedCache']
    check.addIssue({ code: 'custom', path, message: 'needs a secret among sealing.keys' })
  })
}

/** An opaque token does not say whose it is, so there can be only one who is asked. */
function refuseSecondIntrospection(issuers: readonly object[], check: z.RefinementCtx): void {
  const asked = [...issuers.keys()].filter((index) => Object.hasOwn(issuers[index] ?? {}, 'introspection'))
  for (const index of asked.slice(1)) {
    check.addIssue({ code: 'custom', path: [index, 'introspection'], message: 'another issuer has one already' })
  }
}

function identityOf(rule: Rule | undefined): string {
  // A destination that was refused is there as nothing.
  if (rule?.pattern === undefined) return crypto.randomUUID()
  return `${rule.pattern.wildcard ? '*' : ''}${keyOf(rule.pattern)}`
}

function refuseRepeats(names: readonly string[], key: string, check: z.RefinementCtx): void {
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index) {
      check.addIssue({ code: 'custom', path: [index, key], message: 'stands there twice' })
    }
  })
}
