/** A service in canary mode that tells a token in the ways it is asked to, or in none. */

const { spawn } = require('node:child_process')
const { generateKeyPairSync, sign } = require('node:crypto')
const fs = require('node:fs')
const { Worker } = require('node:worker_threads')
const pino = require('pino')
const { createTokenRelay } = require('otel-token-relay')
const { createCanary } = require('otel-token-relay/testing')

const ways = process.argv.slice(2)
const canary = createCanary(ways.includes('reported') ? { unseen: 'report' } : {})

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
  end: () => process.stdout.end(token),
  'by descriptor': () => fs.writeSync(1, token),
  'by descriptor, later': () => fs.write(1, Buffer.from(`..${token}`), 2, () => undefined),
  'by name': () => fs.appendFileSync('/dev/stdout', token),
  raw: () => process._rawDebug(token),
  'character by character': () => print(...token),
  'a character a line': () => print(...[...token].map((char) => `${char}\n`)),
  'in pieces': () => print(...token.match(/.{1,5}/g)),
  'base64 in pieces': () => print(...Buffer.from(token).toString('base64')),
  decoded: () => process.stdout.write(Buffer.from(token).toString('hex'), 'hex'),
  pino: () => pino().info({ token }),
  'pino, destination': () => pino(pino.destination(1)).info({ token }),
  'pino, at the exit': () => {
    const destination = pino.destination({ dest: 1, sync: false, minLength: 4_096 })
    // pino refers to it weakly, and does not flush what was collected. This module may be collected, too.
    globalThis.destination = destination
    pino(destination).info({ token })
    // What is not ready when the process ends is a separate error.
    destination.on('ready', () => setImmediate(() => undefined))
  },
  'pino, transport': () => pino({ transport: { target: 'pino/file', options: { destination: 1 } } }).info({ token }),
  worker: () => new Worker('1', { eval: true }),
  child: () => spawn(process.execPath, ['--version'], { stdio: 'inherit' }),
  'child with pipes': () => spawn(process.execPath, ['--version']),
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
  const relay = createTokenRelay({
    issuers: [{ issuer: claims.iss, audience: 'a', jwks: { keys: [jwk] } }],
    // Its lines would count among the characters that were searched.
    telemetry: { log: 'off' },
  })
  if (!ways.includes('nobody')) console.log('verified', await relay.verify(token))
  for (const way of ways) TELL[way]?.()
}
void main()
