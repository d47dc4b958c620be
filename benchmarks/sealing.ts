/** What sealing a token costs beside encrypting it with AES-256-GCM and nothing else: medians and their ratios. */

import type { KeyObject } from 'node:crypto'
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import process from 'node:process'
import { measure } from 'mitata'
import { createPublicSealingKey, createSecretSealingKey } from '../src/sealing/key.ts'
import { createSealing } from '../src/sealing/sealing.ts'

const token = `${'a'.repeat(60)}.${'b'.repeat(600)}.${'c'.repeat(86)}`
const message = { destination: 'kafka:orders', traceId: '0af7651916cd43dd8448eb211c80319c' }
const jwkOf = ({ privateKey }: { readonly privateKey: KeyObject }) => ({ ...privateKey.export({ format: 'jwk' }) })
const sealing = createSealing({
  keys: [
    createSecretSealingKey('secret', randomBytes(32).toString('base64url')),
    createPublicSealingKey('P-256', jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }))),
    createPublicSealingKey('X25519', jwkOf(generateKeyPairSync('x25519'))),
  ],
  producer: 'order-service',
  maxAgeSeconds: 3_600,
  paddingBytes: 256,
  maxOpenings: 1,
  maxTokenBytes: 8_192,
  // The same message over and over.
  replayWindow: { count: () => 1 },
})

const key = randomBytes(32)
function encrypt(): { iv: Buffer; ciphertext: Buffer; tag: Buffer } {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const ciphertext = Buffer.concat([cipher.update(token), cipher.final()])
  return { iv, ciphertext, tag: cipher.getAuthTag() }
}
function decrypt({ iv, ciphertext, tag }: ReturnType<typeof encrypt>): string {
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAuthTag(tag)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('latin1')
}
const seal = (kid: string): string => sealing.seal(token, Date.now() + 3_000_000, kid, message) ?? ''
const encrypted = encrypt()

// Contestants that did nothing would win.
if (decrypt(encrypted) !== token) throw new Error('AES-256-GCM does not decrypt')

console.log(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown CPU'}, token of ${token.length} bytes\n`)
console.log('| path | median | AES-256-GCM alone | ratio |\n|---|---:|---:|---:|')
const alone = { seal: (await measure(encrypt)).p50, open: (await measure(() => decrypt(encrypted))).p50 }
for (const kid of ['secret', 'P-256', 'X25519']) {
  const sealed = seal(kid)
  if (sealing.open(sealed, message).credential.byteLength !== token.length) throw new Error('was not opened')
  const medians = {
    seal: (await measure(() => seal(kid))).p50,
    open: (await measure(() => sealing.open(sealed, message))).p50,
  }
  for (const path of ['seal', 'open'] as const) {
    const [mine, theirs] = [medians[path] / 1_000, alone[path] / 1_000]
    console.log(
      `| ${path}, ${kid} | ${mine.toFixed(1)} µs | ${theirs.toFixed(1)} µs | ${(mine / theirs).toFixed(1)} × |`,
    )
  }
}
