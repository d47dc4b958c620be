/** Finds any piece of any canary in text, as it is and in the usual encodings. Shares nothing with the redaction that it judges. */

/** How much of a canary is a leak, in characters. */
const PIECE = 12

export interface Leak {
  readonly encoding: string
  /** Where in the decoded text, in characters. */
  readonly at: number
}

export interface Canaries {
  /** Every segment of `token`, and a text that stands in its claims, are looked for from now on. */
  add(token: string, marker?: string): void
  /** The first piece of a canary in `text`, or `undefined`. */
  find(text: string): Leak | undefined
  /** How many pieces are looked for. */
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
    add(token, marker = '') {
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

type Decode = (text: string) => Iterable<string>

/** A piece of base64 may begin anywhere: four characters are three bytes. */
const base64: Decode = (text) => runsOf(text, /[A-Za-z0-9+/_-]{16,}/g, 4, (run) => Buffer.from(run, 'base64'))
const percent = (text: string): string => decoded(text, /%([0-9a-fA-F]{2})/g, 16)

/** What `text` may mean to whoever decodes it. */
const ENCODINGS: Readonly<Record<string, Decode>> = {
  'as it is': (text) => [text],
  'percent-encoded': (text) => changed(text, percent(text)),
  'percent-encoded twice': (text) => changed(text, percent(percent(text))),
  escaped: (text) => changed(text, decoded(text, /\\(?:u00|x)([0-9a-fA-F]{2})/g, 16)),
  'HTML entities': (text) => changed(text, decoded(text, /&#(\d{2,3});/g, 10)),
  'hexadecimal HTML entities': (text) => changed(text, decoded(text, /&#x([0-9a-fA-F]{2});/g, 16)),
  'quoted-printable': (text) => changed(text, decoded(text.replaceAll(/=\r?\n/g, ''), /=([0-9A-F]{2})/g, 16)),
  base64,
  'base64 of base64': function* (text) {
    for (const once of base64(text)) yield* base64(once)
  },
  'base64 in lines': (text) => (/[A-Za-z0-9+/]{60,76}\r?\n/.test(text) ? base64(text.replaceAll(/\r?\n/g, '')) : []),
  hexadecimal: (text) => runsOf(text, /[0-9a-fA-F]{24,}/g, 2, (run) => Buffer.from(run, 'hex')),
  'hexadecimal, with separators': (text) =>
    runsOf(text, /(?:[0-9a-fA-F]{2}[ :,-]){11,}[0-9a-fA-F]{2}/g, 1, (run) =>
      Buffer.from(run.replaceAll(/[^0-9a-fA-F]/g, ''), 'hex'),
    ),
  'list of bytes': (text) =>
    runsOf(text, /(?:\d{2,3}, ?\s*){11,}\d{2,3}/g, 1, (run) => Buffer.from(run.split(',').map(Number))),
  'UTF-16': (text) => (text.includes('\0') ? [text.replaceAll('\0', '')] : []),
}

function changed(text: string, other: string): string[] {
  return other === text ? [] : [other]
}

function decoded(text: string, pattern: RegExp, radix: number): string {
  return text.replace(pattern, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, radix)))
}

function* runsOf(text: string, pattern: RegExp, phases: number, decode: (run: string) => Buffer): Generator<string> {
  for (const [run] of text.matchAll(pattern)) {
    for (let phase = 0; phase < phases; phase += 1) yield decode(run.slice(phase)).toString('latin1')
  }
}
