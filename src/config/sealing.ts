/** The options `sealing`: how tokens are sealed into messages. */

import * as v from 'valibot'
import { isObject } from '../base/own-property.ts'
import { check, transform } from '../base/schema.ts'
import type { SealingKey } from '../sealing/key.ts'
import { sealingKeyOf } from '../sealing/key.ts'
import type { ReplayWindow } from '../sealing/replay-window.ts'
import { aFile, group, positiveSeconds, refuseRepeats, text, variable, whole, withMethods } from './parts.ts'

/** How tokens are sealed into messages, so that no broker can read them. */
export interface SealingOptions {
  /**
   * The first key seals unless a rule names another one; all keys open. To rotate: add the new key at the end
   * everywhere, then move it to the front, then remove the old one after `maxAgeSeconds`. Default: none.
   */
  readonly keys?: readonly SealingKeyOptions[]
  /**
   * The name of this service in messages, up to 128 characters. Default: `OTEL_SERVICE_NAME`, else the first audience
   * of the first issuer.
   */
  readonly producer?: string
  /**
   * How long a sealed token can be opened, in seconds, more than 0; the shorter value of producer and consumer counts.
   * A token that has expired by then is refused like any other, unless `consume.onExpired` says otherwise. Default
   * 3600.
   */
  readonly maxAgeSeconds?: number
  /** Tokens are padded to a multiple of this, in bytes, 1 to 4096, so that their length reveals less. Default 256. */
  readonly paddingBytes?: number
  /**
   * How often one message may be opened, 1 to 1000. More than once for brokers that redeliver after a failure. Default
   * 1.
   */
  readonly maxOpenings?: number
  /**
   * Counts openings for several consumers together: `createRedisReplayWindow` of `otel-token-relay/redis`, or an object
   * with `count(id, expiresAtMillis)`. Default: in the memory of this thread, for its last 100000 messages; hand-overs
   * to workers are counted for all threads.
   */
  readonly replayWindow?: ReplayWindow
}

/** A key that seals or opens the tokens in messages: exactly one of `secret`, `secretFile`, `jwk` and `jwkFile`. */
export interface SealingKeyOptions {
  /** The name of the key in messages: up to 64 letters, digits and `. _ ~ -`. Each name is used by one key only. */
  readonly kid: string
  /**
   * 32 random bytes in base64url, the same for producers and consumers (`A256KW`): a token that opens was sealed by one
   * of them. Default: none.
   */
  readonly secret?: string
  /** The path of a file that holds such a secret. Default: none. */
  readonly secretFile?: string
  /**
   * A P-256 or X25519 key (RFC 7517, RFC 8037) for `ECDH-ES+A256KW`. The public part seals; opening needs `d`. Everyone
   * who has the public part can seal, so a sealed token does not prove who sealed it. Default: none.
   */
  readonly jwk?: object
  /** The path of a file that holds such a key as JSON. Default: none. */
  readonly jwkFile?: string
}

const KID = 'required: up to 64 letters, digits and . _ ~ -'
const sealingKeySchema = v.pipe(
  group({
    kid: v.pipe(v.string(KID), v.regex(/^[\w.~-]{1,64}$/, KID), variable('TOKEN_RELAY_SEALING_KID', 'text')),
    secret: v.optional(text('expected 32 random bytes in base64url')),
    secretFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_SEALING_SECRET_FILE', 'text')),
    jwk: v.optional(
      v.pipe(
        v.custom<Readonly<Record<string, unknown>>>(
          (value) => isObject(value) && !Array.isArray(value),
          'expected a JWK',
        ),
        v.metadata({ type: 'object', properties: {}, additionalProperties: {} }),
      ),
    ),
    jwkFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_SEALING_JWK_FILE', 'text')),
  }),
  transform((described, refuse, NEVER): SealingKey => {
    const key = sealingKeyOf(described)
    if (!('problem' in key)) return key
    refuse([key.member], key.problem)
    return NEVER
  }),
)

const PRODUCER = 'expected a name of up to 128 characters'
export const sealingSchema = group({
  keys: v.pipe(
    v.optional(v.array(sealingKeySchema, 'expected a list of keys'), []),
    check((keys, refuse) => {
      const kids = keys.map(({ kid }) => kid)
      refuseRepeats(kids, 'kid', refuse)
    }),
  ),
  producer: v.pipe(
    v.optional(v.pipe(text(PRODUCER), v.maxLength(128, PRODUCER))),
    variable('TOKEN_RELAY_SEALING_PRODUCER', 'text'),
  ),
  maxAgeSeconds: v.pipe(
    v.optional(positiveSeconds(), 3_600),
    variable('TOKEN_RELAY_SEALING_MAX_AGE_SECONDS', 'number'),
  ),
  paddingBytes: v.pipe(
    v.optional(whole(1, 4_096, 'bytes'), 256),
    variable('TOKEN_RELAY_SEALING_PADDING_BYTES', 'number'),
  ),
  maxOpenings: v.pipe(v.optional(whole(1, 1_000, ''), 1), variable('TOKEN_RELAY_SEALING_MAX_OPENINGS', 'number')),
  replayWindow: v.optional(withMethods<ReplayWindow>('expected a replay window', 'count')),
})
