/** A service in canary mode that tells a token in the ways it is asked to, or in none. */

const { generateKeyPairSync, sign } = require('node:crypto')
const { createTokenRelay } = require('otel-token-relay')
const { createCanary } = require('otel-token-relay/testing')

const ways = process.argv.slice(2)
const canary = createCanary()

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'ES256', use: 'sig' }
const partOf = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const now = Math.floor(Date.now() / 1000)
const claims = { iss: 'https://id.example', aud: 'a', sub: 'alice', iat: now, exp: now + 60 }
const input = `${partOf({ alg: 'ES256', kid: 'a', typ: 'at+jwt' })}.${partOf(claims)}`
const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
const token = `${input}.${signature.toString('base64url')}`

const print = (...texts) => {
  for (const text of texts) process.stdout.write(text)
}
const tail = signature.toString('base64url')
const TELL = {
  print: () => print(token),
  warn: () => console.error('cannot parse', Buffer.from(token).toString('base64')),
  pieces: () => print(token.slice(11, 22), token.slice(41, 52)),
  cut: () => print(input.slice(-6), tail.slice(0, 6)),
  halves: () => print(input.slice(-14, -7), input.slice(-7)),
  throw: () =>
    setImmediate(() => {
      throw new Error(`bad header: Bearer ${token}`)
    }),
  reject: () => void Promise.reject(Object.assign(new Error('bad header'), { headers: { authorization: token } })),
  stop: () => {
    canary.stop()
    process.stdout.write(`${token}\n`)
  },
  quit: () => {
    process.stdout.write(token)
    process.exit(0)
  },
}

async function main() {
  const relay = createTokenRelay({ issuers: [{ issuer: claims.iss, audience: 'a', jwks: { keys: [jwk] } }] })
  if (!ways.includes('nobody')) console.log('verified', await relay.verify(token))
  for (const way of ways) TELL[way]?.()
}
void main()
