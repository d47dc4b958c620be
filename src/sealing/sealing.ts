/** Seals a token into one message, and opens it out of that message only. */

import { Credential } from '../token/credential.ts'
import { SealError, UndecidedError } from '../token/errors.ts'
import { decode, decrypt, encrypt, maxSealedChars } from './compact-jwe.ts'
import type { SealingKey } from './key.ts'
import type { ReplayWindow } from './replay-window.ts'
import type { Binding, Message } from './sealed-header.ts'
import { bindingOf, headerOf, isFor, isSealedHeader } from './sealed-header.ts'
import type { Threads } from './threads.ts'

export interface SealingSettings {
  /** The first one seals where no other is named; all of them open. */
  readonly keys: readonly SealingKey[]
  /** What this service is called in what it seals. */
  readonly producer: string
  readonly maxAgeSeconds: number
  readonly paddingBytes: number
  readonly maxOpenings: number
  readonly maxTokenBytes: number
  readonly replayWindow: ReplayWindow
  /** What this process has for hand-overs to its threads. */
  readonly threads?: Threads | undefined
  /** Counts the openings of hand-overs, each of which opens once. */
  readonly handOverWindow?: ReplayWindow
}

export interface Sealing {
  /** Whether there is the key that a rule asks for: the one it names, or the first. */
  hasKey(seal: boolean | string): boolean
  /** The sealed token; `undefined` where it cannot be sealed, and must not be sent. Never waits. */
  seal(token: string, expiresAtMillis: number, seal: boolean | string, message: Message): string | undefined
  /**
   * The token that was sealed into `message`, neither verified nor counted.
   *
   * @throws SealError for every reason.
   */
  open(sealed: string, message: Message): OpenedToken
}

export interface OpenedToken {
  readonly credential: Credential
  /**
   * When it was sealed, where that can be believed: by somebody who has the secret. Whoever has a public key could seal a
   * token that he found, and say that he did so long ago.
   */
  readonly sealedAtMillis: number | undefined
  /**
   * Counts this opening. The token must not be used before.
   *
   * @throws SealError where there were too many, UndecidedError where they cannot be counted.
   */
  count(): Promise<void>
}

/** How far ahead the clock of a producer may be, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 60

// RFC 6750 §2.1, and the spaces that it was padded with: no token has one.
const PADDED_TOKEN = /^([\w\-.~+/]+=*) *$/

export function createSealing(settings: SealingSettings): Sealing {
  const { keys, producer, maxAgeSeconds, paddingBytes, maxOpenings, maxTokenBytes, replayWindow } = settings
  const { threads, handOverWindow = replayWindow } = settings
  const ring = new Map([...keys, ...(threads === undefined ? [] : [threads.key])].map((key) => [key.kid, key]))
  const maxChars = maxSealedChars(maxTokenBytes + paddingBytes)
  const keyFor = (seal: boolean | string): SealingKey | undefined =>
    typeof seal === 'string' ? ring.get(seal) : seal ? keys[0] : undefined

  /** The cheapest refusals first; nothing is fetched for an unknown key. */
  function decryptFor(sealed: string, message: Message): { token: string; binding: Binding; key: SealingKey } {
    const jwe = decode(sealed, maxChars)
    if (jwe === undefined || !isSealedHeader(jwe.header)) throw new SealError()
    const key = ring.get(jwe.header['kid'] as string)
    const binding = bindingOf(jwe.header)
    const isMeant = key !== undefined && isFor(jwe.header, key) && isOf(binding, message) && isInTime(binding)
    const kek = isMeant ? key.kekToOpen(jwe.header['epk']) : undefined
    const plaintext = kek === undefined ? undefined : decrypt(jwe, kek)
    const token = PADDED_TOKEN.exec(plaintext?.toString('latin1') ?? '')?.[1]
    if (key === undefined || token === undefined || token.length > maxTokenBytes) throw new SealError()
    return { token, binding, key }
  }

  function isInTime({ issuedAt, expiresAt }: Binding): boolean {
    const now = Date.now() / 1000
    return now < expiresAt && now - issuedAt < maxAgeSeconds && issuedAt < now + CLOCK_TOLERANCE_SECONDS
  }

  return {
    hasKey: (seal) => keyFor(seal) !== undefined,
    seal(token, expiresAtMillis, seal, message) {
      const key = keyFor(seal)
      if (key === undefined) return undefined
      const now = Date.now()
      const expiresAt = Math.floor(Math.min(expiresAtMillis, now + maxAgeSeconds * 1000) / 1000)
      const times = { issuedAt: Math.floor(now / 1000), expiresAt }
      const { kek, epk } = key.kekToSeal()
      const header = headerOf(key, epk, { ...message, ...times, producer, messageId: crypto.randomUUID() })
      return encrypt(header, token.padEnd(Math.ceil(token.length / paddingBytes) * paddingBytes), kek)
    },
    open(sealed, message) {
      const { token, binding, key } = decryptFor(sealed, message)
      return {
        credential: new Credential(token),
        sealedAtMillis: key.alg === 'A256KW' ? binding.issuedAt * 1000 : undefined,
        async count() {
          const id = `${key.kid} ${binding.messageId}`
          const [window, most] = isHandOver(binding) ? [handOverWindow, 1] : [replayWindow, maxOpenings]
          const openings = await countOpening(window, id, binding.expiresAt * 1000)
          if (openings > most) throw new SealError()
        },
      }
    },
  }
}

/** Moved to another queue, or to another message of the same one. */
function isOf({ destination, traceId }: Binding, message: Message): boolean {
  return destination === message.destination && (traceId === undefined || traceId === message.traceId)
}

/** Its receiver is a worker, who is not delivered to again. */
function isHandOver({ destination }: Binding): boolean {
  return destination.startsWith('worker:')
}

async function countOpening(window: ReplayWindow, id: string, expiresAtMillis: number): Promise<number> {
  let openings: unknown
  try {
    openings = await window.count(id, expiresAtMillis)
  } catch {
    openings = undefined
  }
  // Whatever is no count says nothing about whether the message was opened before.
  if (!Number.isSafeInteger(openings) || (openings as number) < 1) throw new UndecidedError('ERR_TOKEN_UNDECIDED')
  return openings as number
}
