/** Fragments of the tokens in use, looked for in text that has none, beside a `Set` of all fragments. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MIN_FRAGMENT } from '../../src/telemetry/redaction/characters.ts'
import { createTokenFragments } from '../../src/telemetry/redaction/token-fragments.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { createSigner, createToken } from '../support/tokens.ts'

const TOKENS = 400
const signer = createSigner('ES256')
const tokens = Array.from({ length: TOKENS }, () => createToken(signer))

const fragments = createTokenFragments(1_024)
for (const token of tokens) fragments.add(token)
const set = new Set<string>()
for (const token of tokens) {
  for (let at = 0; at + MIN_FRAGMENT <= token.length; at += 1) set.add(token.slice(at, at + MIN_FRAGMENT))
}

const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'understand', 'security.md'), 'latin1')
  .repeat(4)
  .slice(0, 2 ** 16)
const bytes = Buffer.from(text, 'latin1')

function isInSet(value: string): boolean {
  for (let at = 0; at + MIN_FRAGMENT <= value.length; at += 1) {
    if (set.has(value.slice(at, at + MIN_FRAGMENT))) return true
  }
  return false
}

const part = tokens[7]?.slice(-30) ?? ''
prove('both find a fragment', isInSet(part) && fragments.holdsFragment(Buffer.from(part, 'latin1'), 0, part.length))
prove('both find none', !isInSet(text) && !fragments.holdsFragment(bytes, 0, bytes.length))
const result = await compare({
  path: 'fragments of 400 tokens in 64 KiB of English',
  mine: { name: 'relay', run: () => fragments.holdsFragment(bytes, 0, bytes.length) },
  baseline: { name: 'Set of fragments', run: () => isInSet(text) },
})
report([result])
