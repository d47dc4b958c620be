/** Finds any piece of any canary in what has left, as it is and in the usual encodings. */

/** How much of a canary is a leak, in characters. */
const PIECE = 12

export interface Leak {
  readonly encoding: string
  /** Where in the decoded text, in characters. */
  readonly at: number
}

export interface Canaries {
  /** Every segment of `token`, and a text that stands in its claims, are looked for from now on. */
  add(token: string, marker: string): void
  /** The first piece of a canary in `text`, or `undefined`. */
  find(text: string): Leak | undefined
  readonly size: number
}

export function createCanaries(): Canaries {
  const pieces = new Set<string>()
  // Three characters decide whether a position is worth a look.
  const starts = new Uint8Array(1 << 18)

  function addPieces(text: string): void {
    for (let at = 0; at + PIECE <= text.length; at += 1) {
      pieces.add(text.slice(at, at + PIECE))
      starts[keyOf(text, at)] = 1
    }
  }

  function indexIn(text: string): number {
    for (let at = 0; at + PIECE <= text.length; at += 1) {
      if (starts[keyOf(text, at)] === 1 && pieces.has(text.slice(at, at + PIECE))) return at
    }
    return -1
  }

  return {
    add(token, marker) {
      for (const part of [...token.split('.'), marker]) addPieces(part)
    },
    find(text) {
      for (const [encoding, decode] of Object.entries(ENCODINGS)) {
        for (const decoded of decode(text)) {
          const at = indexIn(decoded)
          if (at !== -1) return { encoding, at }
        }
      }
      return undefined
    },
    get size() {
      return pieces.size
    },
  }
}

function keyOf(text: string, at: number): number {
  return ((text.charCodeAt(at) & 63) << 12) | ((text.charCodeAt(at + 1) & 63) << 6) | (text.charCodeAt(at + 2) & 63)
}

/** What `text` may mean to whoever decodes it. */
const ENCODINGS: Readonly<Record<string, (text: string) => Iterable<string>>> = {
  'as it is': (text) => [text],
  'percent-encoded': function* (text) {
    const once = percentDecoded(text)
    if (once !== text) yield* [once, percentDecoded(once)]
  },
  // A piece of base64 may begin anywhere: four characters are three bytes.
  base64: (text) => runsOf(text, /[A-Za-z0-9+/_-]{16,}/g, 4, (run) => Buffer.from(run, 'base64')),
  hexadecimal: (text) => runsOf(text, /[0-9a-fA-F]{24,}/g, 2, (run) => Buffer.from(run, 'hex')),
  'UTF-16': (text) => (text.includes('\0') ? [text.replaceAll('\0', '')] : []),
}

function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function* runsOf(text: string, pattern: RegExp, phases: number, decode: (run: string) => Buffer): Generator<string> {
  for (const [run] of text.matchAll(pattern)) {
    for (let phase = 0; phase < phases; phase += 1) yield decode(run.slice(phase)).toString('latin1')
  }
}
