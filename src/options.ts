/** The schema of all options: one source for code, configuration files and environment variables. */

import * as z from 'zod'
import type { Pattern } from './destination/pattern.ts'
import { isCleartext, PatternError, parsePattern } from './destination/pattern.ts'
import type { Rule } from './destination/rules.ts'
import { keyOf } from './destination/rules.ts'
import type { IngressMode } from './ingress/gate.ts'
import { own } from './token/own.ts'
import type { IssuerSettings } from './verification/issuer.ts'
import { defectOf } from './verification/key-rules.ts'
import { parseSecureUrl } from './verification/secure-url.ts'

/** How the published keys of an issuer are fetched and kept. */
export interface KeySetOptions {
  /** Total time for one fetch, in milliseconds. Positive; default 5000. */
  readonly timeoutMillis?: number
  /** How long an unknown `kid` waits for the next fetch, counted from every attempt, in milliseconds. Default 30000. */
  readonly cooldownMillis?: number
  /** How long fetched keys are used before they are fetched again, in milliseconds. Positive; default 600000. */
  readonly maxAgeMillis?: number
  /** How long older keys serve while the issuer cannot be reached, in milliseconds, after `maxAgeMillis`. Default 3600000. */
  readonly staleMillis?: number
  /** Largest metadata or key set document that is read, in bytes. Positive; default 1048576. */
  readonly maxBytes?: number
}

/** An authorization server whose access tokens are accepted (RFC 9068 §4). */
export interface IssuerOptions {
  /** The `iss` of its tokens, compared to the letter. Also where discovery starts unless `jwksUri` or `jwks` is given. */
  readonly issuer: string
  /**
   * What this service is called in the `aud` of its tokens: one name, or several of which one must be there.
   * `null` accepts tokens that were issued for any other service too; do not use it without another reason to trust them.
   */
  readonly audience: string | readonly string[] | null
  /** Where the keys are published: https, or http on the loopback interface. Default: discovery (RFC 8414, OpenID Connect). */
  readonly jwksUri?: string
  /** The public keys themselves (RFC 7517 §5), for issuers that publish none. Excludes `jwksUri`. */
  readonly jwks?: { readonly keys: readonly object[] }
  /** Accepted `alg` values (RFC 7518 §3.1). Asymmetric ones only; default RS256, PS256, ES256, EdDSA. */
  readonly algorithms?: readonly string[]
  /** Accepted `typ` (RFC 9068 §4). Default `at+jwt`; `null` also accepts `JWT` and none, and with them ID tokens. */
  readonly typ?: string | null
  /** Claims that must be present. Default `exp`, `iat`, `sub`. Without `exp` in it, tokens that never expire are accepted. */
  readonly requiredClaims?: readonly string[]
  /** Accepted difference between the clocks, in seconds. 0 to 300; default 5. */
  readonly clockToleranceSeconds?: number
  /** Longest accepted time since `iat`, in seconds. Positive; default: not limited. */
  readonly maxTokenAgeSeconds?: number
  /** Longest accepted token, in bytes. 256 to 65536; default 8192. */
  readonly maxTokenBytes?: number
  /** How keys are fetched and kept. */
  readonly keySet?: KeySetOptions
}

/** A place to which callers' tokens may go. */
export interface DestinationOptions {
  /**
   * `scheme://host[:port]` (`https`, `http`, `grpcs`, `grpc`), or `system:name` (`kafka`, `rabbitmq`, `bullmq`, `nats`,
   * `aws_sqs`, `mqtt`). One `*` may stand for one whole leading host label, or end a queue name.
   */
  readonly to: string
  /** Accepts `http` or `grpc` on other hosts than the loopback interface: tokens can be read on the way. Default false. */
  readonly allowCleartext?: boolean
  /**
   * Messaging only. `false` lets the token lie in the broker in clear text, readable by whoever reads the queue.
   * Default true: it is withheld as long as there is no key to seal it with.
   */
  readonly seal?: boolean
}

/** How requests are let in. */
export interface IngressOptions {
  /**
   * `require` answers 401 to requests without a valid token, `optional` only to those with a bad one, `off` lets all
   * pass unverified (and then nothing is forwarded). Default `require`.
   */
  readonly mode?: IngressMode
  /**
   * Paths that are open to all, such as `/health`; one that ends in `/*` opens everything below it. Compared with the
   * path as sent: a spelling that would have to be decoded or cleaned first is not public. No credential is set there.
   */
  readonly publicPaths?: readonly string[]
}

/** Options of {@link createTokenRelay}. */
export interface TokenRelayOptions {
  /** Whose tokens are accepted. At least one; each `issuer` once. */
  readonly issuers: readonly IssuerOptions[]
  /** Where tokens may go. Default: nowhere. */
  readonly destinations?: readonly DestinationOptions[]
  /** How requests are let in. */
  readonly ingress?: IngressOptions
  /**
   * Key of the fingerprints in events, at least 16 characters, the same in all services that share traces. Default: the
   * issuer's name, which makes fingerprints comparable everywhere but lets whoever holds a token recompute its own.
   */
  readonly fingerprintKey?: string
}

/** Options after validation, with every default filled in. */
export interface Settings {
  readonly issuers: readonly IssuerSettings[]
  readonly rules: readonly Rule[]
  readonly ingress: { readonly mode: IngressMode; readonly publicPaths: readonly string[] }
  readonly fingerprintKey: string | undefined
}

/** A configuration mistake: names the path of the option, never its value. */
export class OptionError extends TypeError {
  override readonly name = 'TypeError'
  readonly code = 'ERR_RELAY_OPTION'
  /** Where the mistake is, such as `issuers[0].audience`. */
  readonly path: string
  /** What is wrong there. */
  readonly problem: string

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`)
    this.path = path
    this.problem = problem
  }
}

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

const text = (problem: string) => z.string(problem).min(1, problem)
const millis = (fallback: number, min = 1) =>
  z
    .int(`expected whole milliseconds, at least ${min}`)
    .min(min, `expected whole milliseconds, at least ${min}`)
    .default(fallback)
const secureUrl = (problem: string) => text(problem).refine((url) => parseSecureUrl(url) !== undefined, problem)
const list = <T extends z.ZodType>(item: T, problem: string) => z.array(item, problem).min(1, problem)

/** An absent group of options has the defaults of its members, and inherits none from a polluted `Object.prototype`. */
const absent = (): Record<string, never> => Object.create(null) as Record<string, never>
const group = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape, 'expected an object')
const AUDIENCE = 'required: a name, a list of names, or null to accept tokens for any audience'
const TYP = 'expected a media type such as at+jwt, or null'

const keySetSchema = group({
  timeoutMillis: millis(5_000),
  cooldownMillis: millis(30_000, 0),
  maxAgeMillis: millis(600_000),
  staleMillis: millis(3_600_000, 0),
  maxBytes: z.int('expected whole bytes').min(1, 'expected whole bytes, at least 1').default(1_048_576),
})

const issuerSchema = group({
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
  keySet: keySetSchema.prefault(absent),
}).superRefine((issuer, check) => {
  const [jwks, jwksUri] = [own(issuer, 'jwks'), own(issuer, 'jwksUri')]
  if (jwks !== undefined && jwksUri !== undefined) {
    check.addIssue({ code: 'custom', path: ['jwks'], message: 'contradicts jwksUri: give one of them' })
  }
  if (jwks === undefined && jwksUri === undefined && parseSecureUrl(issuer.issuer) === undefined) {
    const message = 'discovery needs an https URL, or http on the loopback interface; or give jwksUri or jwks'
    check.addIssue({ code: 'custom', path: ['issuer'], message })
  }
})

const destinationSchema = group({
  to: text('required: scheme://host[:port] or system:name'),
  allowCleartext: z.boolean('expected true or false').default(false),
  seal: z.boolean('expected true or false').optional(),
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
  const seal = own(rule, 'seal')
  if (pattern.kind === 'network' && seal !== undefined) return refuse('seal', 'is for messaging destinations only')
  return { to: rule.to, pattern, seal: pattern.kind === 'messaging' && seal !== false }
})

function patternOf(to: string): Pattern | string {
  try {
    return parsePattern(to)
  } catch (error) {
    return error instanceof PatternError ? error.message : 'not a destination'
  }
}

const publicPath = text('expected a path such as /health').regex(
  /^\/[^?#%;\\]*$/,
  'expected a path that starts with / and has no query, escape or parameter',
)

const schema = z.strictObject(
  {
    issuers: list(issuerSchema, 'required: at least one issuer').superRefine((issuers, check) =>
      refuseRepeats(
        issuers.map(({ issuer }) => issuer),
        'issuer',
        check,
      ),
    ),
    destinations: z
      .array(destinationSchema, 'expected a list of destinations')
      .default([])
      .superRefine((rules, check) => refuseRepeats(rules.map(identityOf), 'to', check)),
    ingress: group({
      mode: z.enum(['require', 'optional', 'off'], 'expected require, optional or off').default('require'),
      publicPaths: z.array(publicPath, 'expected a list of paths').default([]),
    }).prefault(absent),
    fingerprintKey: z.string('expected at least 16 characters').min(16, 'expected at least 16 characters').optional(),
  },
  'required: an object with issuers',
)

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

/**
 * Checks `options` and fills in the defaults.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` that names the first wrong option by its path and never shows its value.
 */
export function parseOptions(options: unknown): Settings {
  const result = schema.safeParse(ownMembers(options))
  if (!result.success) throw toOptionError(result.error)
  const { issuers, destinations, ingress } = result.data
  return {
    issuers: issuers.map((issuer) => ({
      ...issuer,
      jwks: own(issuer, 'jwks') as IssuerSettings['jwks'],
      jwksUri: own(issuer, 'jwksUri') as IssuerSettings['jwksUri'],
      maxTokenAgeSeconds: own(issuer, 'maxTokenAgeSeconds') as IssuerSettings['maxTokenAgeSeconds'],
    })),
    rules: destinations,
    ingress,
    fingerprintKey: own(result.data, 'fingerprintKey') as Settings['fingerprintKey'],
  }
}

/** Deeper than any option; options that contain themselves are deeper still. */
const MAX_DEPTH = 8

/** Copies own members only, so that a polluted `Object.prototype` cannot add an option (CWE-1321). */
function ownMembers(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new OptionError('options', 'nested too deeply')
  if (Array.isArray(value)) return value.map((member) => ownMembers(member, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) copy[key] = ownMembers(member, depth + 1)
  }
  return copy
}

function toOptionError({ issues }: z.ZodError): OptionError {
  const issue = issues[0]
  if (issue === undefined) return new OptionError('options', 'not valid')
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    // A key is free text: what is no name is not repeated.
    return new OptionError(pathOf([...issue.path, /^[\w.-]{1,64}$/.test(key) ? key : '?']), 'is not an option')
  }
  return new OptionError(pathOf(issue.path), issue.message)
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  return text === '' ? 'options' : text.replace(/^\./, '')
}
