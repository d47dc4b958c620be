/** Looks for a token in everything that a process let out: no piece of it, in no usual encoding. */

/** Every 12-character piece of every segment of `token`, as it is, in base64, in hexadecimal and percent-encoded twice. */
const PIECE = 12

/** Returns the first encoding in which a piece of `token` is found in `text`, or `undefined`. */
export function findToken(text: string, token: string): string | undefined {
  for (const [name, encode] of Object.entries(ENCODINGS)) {
    for (const segment of token.split('.').slice(1)) {
      for (let at = 0; at + PIECE <= segment.length; at += PIECE) {
        if (text.includes(encode(segment.slice(at, at + PIECE)))) return name
      }
    }
  }
  return undefined
}

const ENCODINGS: Readonly<Record<string, (piece: string) => string>> = {
  'as it is': (piece) => piece,
  base64: (piece) => Buffer.from(piece).toString('base64').slice(0, 15),
  hexadecimal: (piece) => Buffer.from(piece).toString('hex'),
  'UTF-16': (piece) => Buffer.from(piece, 'utf16le').toString('latin1'),
  reversed: (piece) => [...piece].reverse().join(''),
}
