/** A token that is sealed into a message and opened again, beside AES-256-GCM over the same bytes and nothing else. */

import type { KeyObject } from 'node:crypto'
import { createCipheriv, createDecipheriv, createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createPublicSealingKey, createSecretSealingKey } from '../../src/sealing/key.ts'
import { createSealing } from '../../src/sealing/sealing.ts'
import type { Result } from '../support/compare.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'
import { createSigner, createToken } from '../support/tokens.ts'

const token = createToken(createSigner('ES256'))
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
/** Node takes longer to start a cipher with bytes than with a key object, which can be kept. */
const kept = createSecretKey(key)
function encrypt(secret: Uint8Array | KeyObject = key): { iv: Buffer; ciphertext: Buffer; tag: Buffer } {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, iv)
  const ciphertext = Buffer.concat([cipher.update(token, 'latin1'), cipher.final()])
  return { iv, ciphertext, tag: cipher.getAuthTag() }
}
function decrypt({ iv, ciphertext, tag }: ReturnType<typeof encrypt>, secret: Uint8Array | KeyObject = key): string {
  const decipher = createDecipheriv('aes-256-gcm', secret, iv).setAuthTag(tag)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('latin1')
}
const until = Date.now() + 30_000_000
const seal = (kid: string): string => sealing.seal(token, until, kid, message) ?? ''
const encrypted = encrypt()
prove('AES-256-GCM decrypts', decrypt(encrypted) === token)

const results: Result[] = []
for (const kid of ['secret', 'P-256', 'X25519']) {
  const sealed = seal(kid)
  prove('what was sealed opens', sealing.open(sealed, message).credential.byteLength === token.length)
  const goal = kid === 'secret' ? { goal: 1.5 } : {}
  results.push(
    await compare({
      path: `sealed with ${kid}`,
      ...goal,
      mine: { name: 'relay', run: () => seal(kid) },
      others: [{ name: 'with a kept key object', run: () => encrypt(kept) }],
      baseline: { name: 'AES-256-GCM', run: () => encrypt() },
    }),
    await compare({
      path: `opened with ${kid}`,
      ...goal,
      mine: { name: 'relay', run: () => sealing.open(sealed, message) },
      others: [{ name: 'with a kept key object', run: () => decrypt(encrypted, kept) }],
      baseline: { name: 'AES-256-GCM', run: () => decrypt(encrypted) },
    }),
  )
}
report(results)
