/** Seals a token into one message, and opens it from that message only. */

import { hash } from '../base/newer-functions.ts'
import { measureSealing } from '../telemetry/metrics.ts'
import { UnverifiedCredential } from '../token/credential.ts'
import type { TokenError } from '../token/errors.ts'
import { SealError, UndecidedError } from '../token/errors.ts'
import { decode, decrypt, encrypt, maxSealedChars } from './compact-jwe.ts'
import type { SealingKey } from './key.ts'
import type { ReplayWindow } from './replay-window.ts'
import type { Message, SealedClaims } from './sealed-header.ts'
import { bindingOf, headerOf, isSealedHeader, isSealedWith } from './sealed-header.ts'
import type { Threads } from './threads.ts'

export interface SealingSettings {
  /** The first one seals unless a rule names another; all of them open. */
  readonly keys: readonly SealingKey[]
  /** Name of this service in the messages that it seals. */
  readonly producer: string
  readonly maxAgeSeconds: number
  readonly paddingBytes: number
  readonly maxOpenings: number
  readonly maxTokenBytes: number
  readonly replayWindow: ReplayWindow
  /** Key and window for hand-overs to threads of this process. */
  readonly threads?: Threads | undefined
  /** Counts the openings of hand-overs, each of which can be opened once. */
  readonly handOverWindow?: ReplayWindow
}

export interface Sealing {
  /** Whether the key that a rule asks for exists: the one that it names, or the first. */
  hasKey(seal: boolean | string): boolean
  /** Returns until when a token with that expiry can be opened if it is sealed now: whole seconds, in milliseconds. */
  endOf(expiresAtMillis: number): number
  /** Returns the sealed token; `undefined` if it cannot be sealed, and must not be sent. Never waits. */
  seal(token: string, expiresAtMillis: number, seal: boolean | string, message: Message): string | undefined
  /**
   * Returns the token that was sealed into `message`, neither verified nor counted.
   *
   * @throws SealError for every failure, so that an attacker learns nothing from it.
   */
  open(sealed: string, message: Message): OpenedToken
}

export interface OpenedToken {
  readonly credential: UnverifiedCredential
  /**
   * When it was sealed, if that can be trusted: under a secret. The holder of a public key could seal a token that it
   * found, and claim that it did so long ago.
   */
  readonly sealedAtMillis: number | undefined
  /**
   * Counts this opening. The token must not be used before.
   *
   * @throws SealError if there were too many, UndecidedError if they cannot be counted.
   */
  count(): Promise<void>
}

/** How far ahead the clock of a producer may be, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 60

// RFC 6750 §2.1, and the spaces of the padding: no token has one.
const PADDED_TOKEN = /^([\w\-.~+/]+=*) *$/

export function createSealing(settings: SealingSettings): Sealing {
  const { keys, producer, maxAgeSeconds, paddingBytes, maxOpenings, maxTokenBytes, replayWindow } = settings
  const { threads, handOverWindow = replayWindow } = settings
  const ring = new Map([...keys, ...(threads === undefined ? [] : [threads.key])].map((key) => [key.kid, key]))
  const maxChars = maxSealedChars(maxTokenBytes + paddingBytes)
  const keyFor = (seal: boolean | string): SealingKey | undefined =>
    typeof seal === 'string' ? ring.get(seal) : seal ? keys[0] : undefined

  /** Refuses what is cheap to refuse first; nothing is fetched for an unknown key. */
  function decryptFor(sealed: string, message: Message): { token: string; binding: SealedClaims; key: SealingKey } {
    const jwe = decode(sealed, maxChars)
    if (jwe === undefined || !isSealedHeader(jwe.header)) throw new SealError()
    const key = ring.get(jwe.header['kid'] as string)
    const binding = bindingOf(jwe.header)
    const isMeant =
      key !== undefined &&
      isSealedWith(jwe.header, key) &&
      isBoundTo(binding, message) &&
      isInTime(binding, maxAgeSeconds)
    const kek = isMeant ? key.kekToOpen(jwe.header['epk']) : undefined
    const plaintext = kek === undefined ? undefined : decrypt(jwe, kek)
    const token = PADDED_TOKEN.exec(plaintext?.toString('latin1') ?? '')?.[1]
    if (key === undefined || token === undefined || token.length > maxTokenBytes) throw new SealError()
    return { token, binding, key }
  }

  function endOf(expiresAtMillis: number): number {
    return Math.floor(Math.min(expiresAtMillis, Date.now() + maxAgeSeconds * 1000) / 1000) * 1000
  }

  return {
    endOf,
    hasKey: (seal) => keyFor(seal) !== undefined,
    seal(token, expiresAtMillis, seal, message) {
      const key = keyFor(seal)
      if (key === undefined) return undefined
      const times = { issuedAt: Math.floor(Date.now() / 1000), expiresAt: endOf(expiresAtMillis) / 1000 }
      const { kek, epk } = key.kekToSeal()
      const header = headerOf(key, epk, { ...message, ...times, producer, messageId: crypto.randomUUID() })
      return encrypt(header, token.padEnd(Math.ceil(token.length / paddingBytes) * paddingBytes), kek)
    },
    open(sealed, message) {
      const { token, binding, key } = decryptFor(sealed, message)
      return {
        credential: new UnverifiedCredential(token),
        sealedAtMillis: key.alg === 'A256KW' ? binding.issuedAt * 1000 : undefined,
        async count() {
          // Not by the message id, which anyone can read, and under which the holder of a public key can seal another
          // token.
          // A sealed text has one spelling, and only those who can open it can make another text with this token.
          const id = `${key.kid} ${hash('sha256', sealed, 'base64url')}`
          const [window, most] = isHandOver(binding) ? [handOverWindow, 1] : [replayWindow, maxOpenings]
          const openings = await countOpening(window, id, binding.expiresAt * 1000)
          if (openings > most) throw new SealError()
        },
      }
    },
  }
}

function isInTime({ issuedAt, expiresAt }: SealedClaims, maxAgeSeconds: number): boolean {
  const now = Date.now() / 1000
  return now < expiresAt && now - issuedAt < maxAgeSeconds && issuedAt < now + CLOCK_TOLERANCE_SECONDS
}

/** Not so if it was moved to another queue, or to another message of the same queue. */
function isBoundTo({ destination, traceId }: SealedClaims, message: Message): boolean {
  return destination === message.destination && (traceId === undefined || traceId === message.traceId)
}

/** A worker gets its hand-over once: nothing is delivered again. */
function isHandOver({ destination }: SealedClaims): boolean {
  return destination.startsWith('worker:')
}

async function countOpening(window: ReplayWindow, id: string, expiresAtMillis: number): Promise<number> {
  let openings: unknown
  try {
    openings = await window.count(id, expiresAtMillis)
  } catch {
    openings = undefined
  }
  // A value that is no count does not say whether the message was opened before.
  if (!Number.isSafeInteger(openings) || (openings as number) < 1) throw new UndecidedError('ERR_TOKEN_UNDECIDED')
  return openings as number
}

/**
 * Measures the outcomes of `sealing`. An opening is a success once it is counted: one that came too often is a failure.
 */
export function measureOutcomes(sealing: Sealing): Sealing {
  return {
    ...sealing,
    seal(...args) {
      const sealed = sealing.seal(...args)
      measureSealing({ operation: 'seal', outcome: sealed === undefined ? 'failure' : 'success' })
      return sealed
    },
    open(sealed, message) {
      try {
        return measureOpening(sealing.open(sealed, message))
      } catch (error) {
        throw measureFailure(error)
      }
    },
  }
}

function measureOpening(opened: OpenedToken): OpenedToken {
  return {
    ...opened,
    async count() {
      await opened.count().catch((error: unknown) => {
        throw measureFailure(error)
      })
      measureSealing({ operation: 'open', outcome: 'success' })
    },
  }
}

function measureFailure(error: unknown): unknown {
  measureSealing({ operation: 'open', outcome: 'failure', code: (error as TokenError).code })
  return error
}
