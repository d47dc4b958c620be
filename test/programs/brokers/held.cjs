/** Holds an undecided message, and has nothing else to do: ends, and prints the calls of the channel until then. */

const { randomBytes } = require('node:crypto')
const { createTokenRelay } = require('otel-token-relay')
const { asCaller } = require('otel-token-relay/amqplib')

const issuer = 'https://id.example'
// No server listens there.
const jwksUri = 'http://127.0.0.1:1'
createTokenRelay({
  issuers: [{ issuer, audience: 'user-service', jwksUri }],
  destinations: [{ to: 'rabbitmq:orders', seal: false }],
})

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const iat = Math.floor(Date.now() / 1000)
const claims = { iss: issuer, aud: 'user-service', sub: 'alice', iat, exp: iat + 300, client_id: 'web', jti: 'a' }
const token = [
  part({ alg: 'ES256', kid: 'a', typ: 'at+jwt' }),
  part(claims),
  randomBytes(64).toString('base64url'),
].join('.')

const answers = []
const channel = { ack: () => answers.push('ack'), nack: (_, __, requeue) => answers.push(`nack ${requeue}`) }
const message = {
  fields: { exchange: '', routingKey: 'orders' },
  properties: { headers: { authorization: `Bearer ${token}` } },
}
let isHeld = true
asCaller(channel, () => answers.push('handled'))(message).then(() => {
  isHeld = false
})
process.on('exit', () => console.log(JSON.stringify({ isHeld, answers })))
