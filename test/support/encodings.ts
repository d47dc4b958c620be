/** How a token may be written where it does not belong. */

export type Encode = (text: string) => string

const each = (sign: (code: string) => string, radix = 16): Encode => {
  return (text) => [...text].map((char) => sign(char.charCodeAt(0).toString(radix))).join('')
}
const as =
  (encoding: BufferEncoding): Encode =>
  (text) =>
    Buffer.from(text).toString(encoding)

export const ENCODINGS: Readonly<Record<string, Encode>> = {
  'as it is': (text) => text,
  'percent-encoded, its dots': (text) => text.replaceAll('.', '%2E'),
  'percent-encoded': each((code) => `%${code}`),
  'percent-encoded twice': (text) => encodeURIComponent(each((code) => `%${code}`)(text)),
  'in JSON in JSON': (text) => JSON.stringify(JSON.stringify({ text })),
  'as JSON escapes': each((code) => `\\u00${code}`),
  'as JavaScript escapes': each((code) => `\\x${code}`),
  'as HTML entities': each((code) => `&#${code};`, 10),
  'as hexadecimal HTML entities': each((code) => `&#x${code};`),
  base64: as('base64'),
  base64url: as('base64url'),
  'base64, not from its beginning': (text) => as('base64')(`x${text}`),
  'base64 of base64': (text) => as('base64')(as('base64')(text)),
  'hexadecimal digits': as('hex'),
  'upper-case hexadecimal digits': (text) => as('hex')(text).toUpperCase(),
  'UTF-16': (text) => Buffer.from(text, 'utf16le').toString('latin1'),
}
