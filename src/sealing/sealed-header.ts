/** The protected header of a sealed token: everything that it is bound to, and nothing else. */

import { own } from '../token/own.ts'
import type { SealingKey } from './key.ts'
import type { EphemeralKey } from './key-agreement.ts'

/** The message that a token is sealed into, or found in. */
export interface Message {
  /** Where it is sent, or was read from, as a rule names it: `kafka:orders`. */
  readonly destination: string
  /** Of its `traceparent`, where it has one. */
  readonly traceId: string | undefined
}

/** What stands in the header beside the algorithms. Times are NumericDates (RFC 7519 §2). */
export interface Binding extends Message {
  readonly producer: string
  readonly messageId: string
  readonly issuedAt: number
  readonly expiresAt: number
}

const TYP = 'token-relay+jwe'
const ENC = 'A256GCM'

type Header = Readonly<Record<string, unknown>>
type Test = (value: unknown) => boolean

/** Short enough to be remembered: message ids are, and whoever has a public key chooses his own. */
const isText: Test = (value) => typeof value === 'string' && value !== '' && value.length <= 512
const isShort: Test = (value) => isText(value) && (value as string).length <= 64
const isDate: Test = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isTrace: Test = (value) => typeof value === 'string' && /^[\da-f]{32}$/.test(value)

/** Every member that may be there. `zip`, `crit`, `p2c`, `apu` and whatever else is invented are not. */
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

/** `iss` and `aud` as RFC 7519 §5.3 repeats them in headers, so that who may not read the token can still route it. */
export function headerOf({ kid, alg }: SealingKey, epk: EphemeralKey | undefined, binding: Binding): Header {
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

/** Whether `header` has every member that it needs and none that it may not have, each of its type. */
export function isSealedHeader(header: Header): boolean {
  const isKnown = Object.keys(header).every((name) => Object.hasOwn(MEMBERS, name))
  return (
    isKnown &&
    REQUIREMENTS.every(([name, { test, optional }]) => {
      const value = own(header, name)
      return value === undefined ? optional === true : test(value)
    })
  )
}

/** The algorithms are those of the key, whatever the header says (RFC 8725 §3.1). */
export function isFor(header: Header, { kid, alg }: SealingKey): boolean {
  return header['kid'] === kid && header['alg'] === alg && header['enc'] === ENC && header['typ'] === TYP
}

/** What a header says that has passed {@link isSealedHeader}. */
export function bindingOf(header: Header): Binding {
  return {
    destination: header['aud'] as string,
    producer: header['iss'] as string,
    messageId: header['jti'] as string,
    issuedAt: header['iat'] as number,
    expiresAt: header['exp'] as number,
    traceId: own(header, 'trace') as string | undefined,
  }
}
