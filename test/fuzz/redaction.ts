/** Hides fragments of tokens in texts, in all encodings and at all places, and reports which ones redaction leaves. */

import { inspect } from 'node:util'
import type { Encode } from '../support/encodings.ts'
import { ENCODINGS } from '../support/encodings.ts'
import type { Random } from './random.ts'
import { createRandom } from './random.ts'

export interface RedactionFuzz {
  readonly seed: number
  readonly texts: number
  readonly tokens: readonly string[]
  readonly redact: (text: string) => string
}

interface Finding {
  readonly defect: 'a fragment is left' | 'ordinary text is changed'
  readonly number: number
  readonly text: string
}

/** The shortest fragment that must be found. */
const FRAGMENT = 12

/** Hides a fragment in every second text. */
export function fuzzRedaction({ seed, texts, tokens, redact }: RedactionFuzz): readonly Finding[] {
  const random = createRandom(seed)
  const findings: Finding[] = []
  for (let number = 0; number < texts; number += 1) {
    const around = [ordinary(random), ordinary(random)]
    const hidden = number % 2 === 0 ? hide(random, fragmentOf(random, random.pick(tokens))) : ''
    const text = around.join(`${random.pick(GLUE)}${hidden}${random.pick(GLUE)}`)
    const clean = redact(text)
    if (hidden === '' && clean !== text) findings.push({ defect: 'ordinary text is changed', number, text })
    if (hidden !== '' && clean.includes(hidden)) findings.push({ defect: 'a fragment is left', number, text })
  }
  return findings
}

/** Characters that end what is hidden, whatever its encoding. */
const GLUE = [' ', '"', '|', '(', '\t', 'é', ' - ', '<']

function fragmentOf(random: Random, token: string): string {
  const length = FRAGMENT + random.pick([0, 0, 1, 2, 7, 20, 100])
  const at = random.integer(Math.max(1, token.length - length + 1))
  return token.slice(at, at + length)
}

function hide(random: Random, fragment: string): string {
  if (random.integer(4) === 0) return random.pick(TWICE)(fragment, random)
  const encoded = random.pick(ONCE)(fragment)
  return random.integer(3) === 0 ? encoded : random.pick(OUTER)(encoded, random)
}

const codes = (text: string): number[] => [...text].map((char) => char.charCodeAt(0))
const hex = (text: string): string[] => codes(text).map((code) => code.toString(16).padStart(2, '0'))
const { 'base64 of base64': base64Twice = String, ...SIMPLE } = ENCODINGS

const ONCE: readonly Encode[] = [
  ...Object.values(SIMPLE),
  (text) => JSON.stringify(codes(text)),
  (text) => inspect(Buffer.from(text.slice(0, 50))),
  (text) => hex(text).join(' '),
  (text) => hex(text).join(':'),
  (text) => hex(text).join('-'),
  (text) => `=${hex(text).join('=').toUpperCase()}`,
  (text) => `0x${hex(text).join(', 0x')}`,
  (text) => `&amp;#${codes(text).join(';&amp;#')};`,
]

type EncodeAround = (text: string, random: Random) => string

/** What programs do with text that holds an encoded token. */
const OUTER: readonly EncodeAround[] = [
  (text) => encodeURIComponent(text),
  (text) => encodeURIComponent(encodeURIComponent(text)),
  (text) => JSON.stringify(JSON.stringify({ text })),
  (text, random) => Buffer.from(`${'word '.repeat(9).slice(random.integer(45))}${text}`).toString('base64'),
  (text) => Buffer.from(text).toString('hex'),
]

const TWICE: readonly EncodeAround[] = [
  (text) => JSON.stringify(codes(text), undefined, 2),
  base64Twice,
  (text) => JSON.stringify({ ...Buffer.from(text) }),
  (text) => Buffer.from(text, 'utf16le').toString('base64'),
  (text) => Buffer.from(text, 'utf16le').toString('hex'),
  (text, random) => inLines(Buffer.from(`${'a'.repeat(random.integer(90))} ${text}`).toString('base64'), random),
]

function inLines(text: string, random: Random): string {
  const length = random.pick([60, 64, 76])
  return text.replaceAll(new RegExp(`.{${length}}(?=.)`, 'g'), `$&${random.pick(['\n', '\r\n'])}`)
}

const WORDS = [
  ...['connection', 'request', 'failed', 'to', 'key', 'newline', 'eyes', '10.1.2.3', '100%', 'C:\\users\\x64', '=3D'],
  ...['/srv/app/node_modules/express/lib/router/layer.js:95:5', 'error.message.eyJ', '2026-01-02T03:04:05Z', '&#39;'],
  ...['3f2504e0-4f89-11d3-9a0c-0305e82c3301', '[101,121,74]', '"0":101,"1":121', 'a=1&b=%7B%22c%22', '\\"', '日本'],
]
const ENDS = [' ', ',', '\n', '/', '%20', '']

function ordinary(random: Random): string {
  const bytes = Buffer.from(Array.from({ length: random.integer(60) }, () => random.integer(256)))
  const words = Array.from({ length: random.integer(6) }, () => random.pick(WORDS)).join(random.pick(ENDS))
  const encoding = random.pick(['base64', 'hex', 'latin1'] as const)
  return random.pick([words, words, encodeURIComponent(words), bytes.toString(encoding), JSON.stringify([...bytes])])
}
