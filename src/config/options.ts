/** The options of a relay as a whole: one source for code, configuration files and environment variables. */

import * as v from 'valibot'
import { OptionError } from '../base/option-checks.ts'
import type { Refuse } from '../base/schema.ts'
import { check, checkOptions } from '../base/schema.ts'
import type { Rule } from '../destination/rules.ts'
import type { TokenSourceSettings } from '../exchange/exchanger.ts'
import type { ClientSettings } from '../exchange/settings.ts'
import type { SealingKey } from '../sealing/key.ts'
import type { IssuerSettings } from '../verification/issuer.ts'
import type { IssuerResolver } from '../verification/issuers.ts'
import type { AuditOptions } from './audit.ts'
import { auditSchema } from './audit.ts'
import type { CacheOptions } from './cache.ts'
import { cacheSchema } from './cache.ts'
import type { DestinationOptions } from './destinations.ts'
import { destinationsSchema } from './destinations.ts'
import type { EgressOptions } from './egress.ts'
import { egressSchema } from './egress.ts'
import type { IngressOptions } from './ingress.ts'
import { ingressSchema } from './ingress.ts'
import type { IssuerOptions, ResolveIssuer } from './issuers.ts'
import { issuerSchema, issuersSchema, resolveIssuerSchema } from './issuers.ts'
import { group } from './parts.ts'
import type { RevocationOptions } from './revocation.ts'
import { revocationSchema } from './revocation.ts'
import type { SealingOptions } from './sealing.ts'
import { sealingSchema } from './sealing.ts'
import type { TelemetryOptions } from './telemetry.ts'
import { fingerprintKeySchema, telemetrySchema } from './telemetry.ts'
import { tokenSourceSchema } from './token-source.ts'

/** Options of {@link createTokenRelay}. */
export interface TokenRelayOptions {
  /**
   * The authorization servers whose tokens are accepted; each `issuer` once. At least one, or none with
   * `resolveIssuer`.
   */
  readonly issuers: readonly IssuerOptions[]
  /**
   * Names further issuers, for services with many tenants: called with the `iss` of a token that is not verified yet,
   * never for one of `issuers`. Resolves with the options of exactly that issuer, or with `undefined` if it is not
   * accepted. Answers are kept for 10 minutes, refusals for 30 seconds, both for 1000 issuers at most. While it
   * rejects, or takes more than 5 seconds, known issuers stay, and tokens of others are answered 503. The issuer cannot
   * have `introspection` or `exchange`. Default: none.
   */
  readonly resolveIssuer?: ResolveIssuer
  /** Where tokens may go. Default: nowhere. */
  readonly destinations?: readonly DestinationOptions[]
  /** How requests are let in. */
  readonly ingress?: IngressOptions
  /** How requests are sent on. */
  readonly egress?: EgressOptions
  /** How tokens are sealed into messages. */
  readonly sealing?: SealingOptions
  /** How tokens are revoked before they expire. */
  readonly revocation?: RevocationOptions
  /** How verified tokens are remembered. */
  readonly cache?: CacheOptions
  /** Where every decision about a token is recorded. */
  readonly audit?: AuditOptions
  /** How tokens appear in events. */
  readonly telemetry?: TelemetryOptions
  /**
   * Key of the fingerprints in events, at least 16 characters, the same in all services that share traces. Default: the
   * issuer's name, which makes fingerprints comparable everywhere, but lets everyone who holds a token compute its
   * fingerprint.
   */
  readonly fingerprintKey?: string
}

const relaySchema = group(
  {
    issuers: issuersSchema,
    resolveIssuer: resolveIssuerSchema,
    destinations: destinationsSchema,
    ingress: v.optional(ingressSchema, {}),
    egress: v.optional(egressSchema, {}),
    sealing: v.optional(sealingSchema, {}),
    revocation: v.optional(revocationSchema, {}),
    cache: v.optional(cacheSchema, {}),
    audit: v.optional(auditSchema, {}),
    telemetry: v.optional(telemetrySchema, {}),
    fingerprintKey: fingerprintKeySchema,
  },
  'required: an object with issuers',
)
type Relay = v.InferOutput<typeof relaySchema>

/** The options of a relay, and what one group of them demands of another. */
export const optionsSchema = v.pipe(
  relaySchema,
  check((relay: Relay, refuse) => {
    refuseMissingExchange(relay, refuse)
    refuseUnknownKids(relay.destinations, relay.sealing.keys, refuse)
    refuseUnsealedCaches(relay, refuse)
    if (relay.issuers.length > 0 || relay.resolveIssuer !== undefined) return
    refuse(['issuers'], 'required: at least one issuer')
  }),
)

/** The checked options, every default filled in. */
export interface Settings extends Omit<Relay, 'issuers' | 'resolveIssuer' | 'destinations'> {
  readonly issuers: readonly IssuerSettings[]
  readonly resolveIssuer: IssuerResolver | undefined
  readonly rules: readonly Rule[]
  /** This service as a client of issuers, by their names. */
  readonly exchanges: ReadonlyMap<string, ClientSettings>
}

/**
 * Checks `options` and fills in the defaults.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION`. It names the first wrong option by its path, never its value.
 */
export function parseOptions(options: unknown): Settings {
  const { issuers, resolveIssuer, destinations, ...rest } = checkAll(optionsSchema, options)
  return {
    ...rest,
    issuers: issuers.map(settingsOf),
    resolveIssuer: resolveIssuer === undefined ? undefined : checkedResolver(resolveIssuer),
    rules: destinations,
    exchanges: new Map(issuers.flatMap(({ issuer, exchange }) => (exchange === undefined ? [] : [[issuer, exchange]]))),
  }
}

/**
 * Checks the options of a token source.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION`, as {@link parseOptions} does.
 */
export function parseTokenSource(options: unknown): TokenSourceSettings {
  return checkAll(tokenSourceSchema, options)
}

/** Lists, windows, caches and loggers are objects with methods, whose members are not options. */
function checkAll<T>(schema: v.GenericSchema<unknown, T>, options: unknown): T {
  return checkOptions(schema, options, ['list', 'replayWindow', 'sharedCache', 'logger'])
}

function settingsOf({ exchange: _, ...settings }: v.InferOutput<typeof issuerSchema>): IssuerSettings {
  return settings
}

function checkedResolver(resolve: ResolveIssuer): IssuerResolver {
  return async (name) => {
    const options = await resolve(name)
    if (options === undefined || options === null) return undefined
    const { exchange, ...settings } = checkAll(issuerSchema, options)
    if (settings.issuer !== name) throw new OptionError('issuer', 'is not the issuer that was asked for')
    if (exchange !== undefined) throw new OptionError('exchange', 'cannot be resolved')
    if (settings.introspection !== undefined) throw new OptionError('introspection', 'cannot be resolved')
    return settings
  }
}

function refuseMissingExchange({ issuers, destinations }: Relay, refuse: Refuse): void {
  if (issuers.some(({ exchange }) => exchange !== undefined)) return
  const problem = 'needs exchange of an issuer'
  const exchanging = destinations.findIndex(({ exchange }) => exchange !== undefined)
  if (exchanging !== -1) refuse(['destinations', exchanging, 'exchange'], problem)
  const renewing = destinations.findIndex(({ consume }) => (consume?.onExpired ?? 'reject') !== 'reject')
  if (renewing !== -1) refuse(['destinations', renewing, 'consume', 'onExpired'], problem)
}

/** A rule that names a key is for the consumers that have this key, and for no others. */
function refuseUnknownKids(rules: readonly Rule[], keys: readonly SealingKey[], refuse: Refuse): void {
  for (const [index, { seal }] of rules.entries()) {
    if (typeof seal !== 'string' || keys.some(({ kid }) => kid === seal)) continue
    refuse(['destinations', index, 'seal'], 'names no key of sealing.keys')
  }
}

/** With public keys only, everyone who has one could seal a token and put it into the cache for others to use. */
function refuseUnsealedCaches({ issuers, sealing }: Relay, refuse: Refuse): void {
  if (sealing.keys.some(({ alg }) => alg === 'A256KW')) return
  for (const [index, { exchange }] of issuers.entries()) {
    if (exchange?.sharedCache === undefined) continue
    refuse(['issuers', index, 'exchange', 'sharedCache'], 'needs a secret among sealing.keys')
  }
}
