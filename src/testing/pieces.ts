/** Finds pieces of tokens in text, plain or encoded. It shares no code with the redaction that it tests. */

/** Length of a piece that counts as a leak, in characters. */
const PIECE_LENGTH = 12

interface Leak {
  readonly encoding: string
  /** Index in the decoded text, in characters. */
  readonly at: number
}

export interface Canaries {
  /** Searches from now on for every segment of `token`, and for `marker`, a text in its claims. */
  add(token: string, marker?: string): void
  /** Returns the first piece of a token in `text`, or `undefined`. */
  find(text: string): Leak | undefined
  /** Number of pieces. */
  readonly size: number
}

export function createCanaries(): Canaries {
  const pieces = new Set<string>()
  // Marks the first three characters of all pieces, so that most positions need no lookup in the set.
  const starts = new Uint8Array(1 << 18)

  function addPieces(text: string): void {
    for (let at = 0; at + PIECE_LENGTH <= text.length; at += 1) {
      pieces.add(text.slice(at, at + PIECE_LENGTH))
      starts[keyOf(text, at)] = 1
    }
  }

  function indexOfPiece(text: string): number {
    for (let at = 0; at + PIECE_LENGTH <= text.length; at += 1) {
      if (starts[keyOf(text, at)] === 1 && pieces.has(text.slice(at, at + PIECE_LENGTH))) return at
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
          const at = indexOfPiece(decoded)
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

/** Decodes at four offsets, because a piece can start anywhere and four characters are three bytes. */
const base64: Decode = (text) => runsOf(text, /[A-Za-z0-9+/_-]{16,}/g, 4, (run) => Buffer.from(run, 'base64'))
const percent = (text: string): string => decodeNumbers(text, /%([0-9a-fA-F]{2})/g, 16)

/** The decodings of a text, by the name of the encoding. */
const ENCODINGS: Readonly<Record<string, Decode>> = {
  'as it is': (text) => [text],
  'percent-encoded': (text) => listIfChanged(text, percent(text)),
  'percent-encoded twice': (text) => listIfChanged(text, percent(percent(text))),
  escaped: (text) => listIfChanged(text, decodeNumbers(text, /\\(?:u00|x)([0-9a-fA-F]{2})/g, 16)),
  octal: (text) => listIfChanged(text, decodeNumbers(text, /\\([0-3]?[0-7]{2})/g, 8)),
  'HTML entities': (text) => listIfChanged(text, decodeNumbers(text, /&#(\d{2,3});/g, 10)),
  'hexadecimal HTML entities': (text) => listIfChanged(text, decodeNumbers(text, /&#x([0-9a-fA-F]{2});/g, 16)),
  'quoted-printable': (text) =>
    listIfChanged(text, decodeNumbers(text.replaceAll(/=\r?\n/g, ''), /=([0-9A-F]{2})/g, 16)),
  base64,
  'base64 of base64': function* (text) {
    for (const once of base64(text)) yield* base64(once)
  },
  'base64 of UTF-16': function* (text) {
    for (const once of base64(text)) if (once.includes('\0')) yield once.replaceAll('\0', '')
  },
  'base64 in lines': (text) => (/[A-Za-z0-9+/]{60,76}\r?\n/.test(text) ? base64(text.replaceAll(/\r?\n/g, '')) : []),
  hexadecimal: (text) => runsOf(text, /[0-9a-fA-F]{24,}/g, 2, (run) => Buffer.from(run, 'hex')),
  'hexadecimal, with separators': (text) =>
    runsOf(text, /(?:[0-9a-fA-F]{2}[ :,-]){11,}[0-9a-fA-F]{2}/g, 1, (run) =>
      Buffer.from(run.replaceAll(/[^0-9a-fA-F]/g, ''), 'hex'),
    ),
  'list of bytes': (text) =>
    runsOf(text, /(?:\d{2,3}, ?\s*){11,}\d{2,3}/g, 1, (run) => Buffer.from(run.split(',').map(Number))),
  'list of bytes, with indices': (text) =>
    runsOf(text.replaceAll(/(["'])\d+\1: ?/g, ''), /(?:\d{2,3},\s*){11,}\d{2,3}/g, 1, (run) =>
      Buffer.from(run.split(',').map(Number)),
    ),
  'a character a line': (text) => (/[\r\n]/.test(text) ? [text.replaceAll(/[\r\n]+/g, '')] : []),
  'UTF-16': (text) => (text.includes('\0') ? [text.replaceAll('\0', '')] : []),
}

function listIfChanged(text: string, other: string): string[] {
  return other === text ? [] : [other]
}

function decodeNumbers(text: string, pattern: RegExp, radix: number): string {
  return text.replace(pattern, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, radix)))
}

function* runsOf(text: string, pattern: RegExp, phases: number, decode: (run: string) => Buffer): Generator<string> {
  for (const [run] of text.matchAll(pattern)) {
    for (let phase = 0; phase < phases; phase += 1) yield decode(run.slice(phase)).toString('latin1')
  }
}
