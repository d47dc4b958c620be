/** A service that lets callers in as fast as its audit trail allows, and says whom, until it is killed. */

const { generateKeyPairSync, randomUUID, sign } = require('node:crypto')
const { writeSync } = require('node:fs')
const { createTokenRelay } = require('otel-token-relay')

const [file, keyFile, maxFileBytes] = process.argv.slice(2)
const ISSUER = 'https://id.example'
const LANES = 6

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'ES256', use: 'sig' }
const partOf = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function newToken() {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: ISSUER, aud: 'a', sub: randomUUID(), iat: now, exp: now + 60 }
  const input = `${partOf({ alg: 'ES256', kid: 'a', typ: 'at+jwt' })}.${partOf(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const relay = createTokenRelay({
  issuers: [{ issuer: ISSUER, audience: 'a', jwks: { keys: [jwk] } }],
  audit: { file, keyFile, onFailure: 'block', maxFileBytes: Number(maxFileBytes) },
})
// At once, and not in the next turn: what is said last must have been true.
writeSync(1, 'open\n')

async function lane() {
  for (;;) {
    const { admitted, credential } = await relay.admit({ headers: { authorization: `Bearer ${newToken()}` } })
    if (admitted) writeSync(1, `${credential.fingerprint}\n`)
    else writeSync(1, 'refused\n')
  }
}
for (let i = 0; i < LANES; i += 1) void lane()
