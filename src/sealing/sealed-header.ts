/** The protected header of a sealed token: everything that the token is bound to, and nothing else. */

import { ownProperty } from '../base/own-property.ts'
import type { SealingKey } from './key.ts'
import type { EphemeralKey } from './key-agreement.ts'

/** The message that a token is sealed into, or found in. */
export interface Message {
  /** Where it is sent to, or was read from, in the form of rules: `kafka:orders`. */
  readonly destination: string
  /** Trace id of its `traceparent`, if it has one. */
  readonly traceId: string | undefined
}

/** The members of the header apart from the algorithms. Times are NumericDates (RFC 7519 §2). */
export interface SealedClaims extends Message {
  readonly producer: string
  readonly messageId: string
  readonly issuedAt: number
  readonly expiresAt: number
}

const TYP = 'token-relay+jwe'
const ENC = 'A256GCM'

type Header = Readonly<Record<string, unknown>>
type Test = (value: unknown) => boolean

/** Short enough to be remembered: message ids are, and the holder of a public key chooses its own. */
const isText: Test = (value) => typeof value === 'string' && value !== '' && value.length <= 512
const isShort: Test = (value) => isText(value) && (value as string).length <= 64
const isDate: Test = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isTrace: Test = (value) => typeof value === 'string' && /^[\da-f]{32}$/.test(value)

/** Every member that a header may have. `zip`, `crit`, `p2c`, `apu` and all others are refused. */
const MEMBERS: Readonly<Record<string, { readonly test: Test; readonly optional?: true }>> = {
  alg: { test: isText },
  enc: { test: isText },
  kid: { test: isShort },
  typ: { test: isText },
  epk: { test: (value) => typeof value === 'object' && value !== null, optional: true },
  iss: { test: isText },
  aud: { test: isText },
  jti: { test: isShort },
  iat: { test: isDate },
  exp: { test: isDate },
  trace: { test: isTrace, optional: true },
}

const REQUIREMENTS = Object.entries(MEMBERS)

/**
 * `iss` and `aud` as RFC 7519 §5.3 repeats them in headers, so that a reader without the key can still route the
 * message.
 */
export function headerOf({ kid, alg }: SealingKey, epk: EphemeralKey | undefined, binding: SealedClaims): Header {
  const { destination, producer, messageId, issuedAt, expiresAt, traceId } = binding
  return {
    alg,
    enc: ENC,
    kid,
    typ: TYP,
    ...(epk === undefined ? {} : { epk }),
    iss: producer,
    aud: destination,
    jti: messageId,
    iat: issuedAt,
    exp: expiresAt,
    ...(traceId === undefined ? {} : { trace: traceId }),
  }
}

/** Whether `header` has every required member and no unknown one, each of the right type. */
export function isSealedHeader(header: Header): boolean {
  const isKnown = Object.keys(header).every((name) => Object.hasOwn(MEMBERS, name))
  return (
    isKnown &&
    REQUIREMENTS.every(([name, { test, optional }]) => {
      const value = ownProperty(header, name)
      return value === undefined ? optional === true : test(value)
    })
  )
}

/** Whether the algorithms are those of the key: a header cannot choose others (RFC 8725 §3.1). */
export function isSealedWith(header: Header, { kid, alg }: SealingKey): boolean {
  return header['kid'] === kid && header['alg'] === alg && header['enc'] === ENC && header['typ'] === TYP
}

/** Reads a header that has passed {@link isSealedHeader}. */
export function bindingOf(header: Header): SealedClaims {
  return {
    destination: header['aud'] as string,
    producer: header['iss'] as string,
    messageId: header['jti'] as string,
    issuedAt: header['iat'] as number,
    expiresAt: header['exp'] as number,
    traceId: ownProperty(header, 'trace') as string | undefined,
  }
}
