/** Sends messages to queues: as their callers, and as an attacker who wants to be another caller. */

const { propagation } = require('@opentelemetry/api')
require('./otel.cjs')
const { runWithToken } = require('otel-token-relay')
const { produce } = require('otel-token-relay/messaging')

const { BROKER, COUNT, QUEUES, REMOVED, TOKENS, URL: url } = process.env
const { connect, system } = require(`./${BROKER}.cjs`)
const tokens = JSON.parse(TOKENS)

/** All callers at once, each with one message after the other. */
async function honest(broker, queue) {
  const send = async ([subject, token]) => {
    for (let i = 0; i < Number(COUNT); i += 1) await runWithToken(token, () => broker.produce(queue, `${subject} ${i}`))
  }
  await Promise.all(Object.entries(tokens).map(send))
}

function flipped(text) {
  const at = text.length - 40
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
}

/** Every one of these must be rejected. Returns how many there are. */
async function hostile(broker, queue) {
  const [[subject, token]] = Object.entries(tokens)
  const headersFor = (destination) =>
    runWithToken(token, () => produce(`${system}:${destination}`, (headers) => headers))
  const [good, elsewhere] = [await headersFor(queue), await headersFor('other')]
  const attacks = [
    { ...good, authorization: flipped(good.authorization) },
    { ...elsewhere },
    { authorization: REMOVED },
    { ...good, authorization: 'Sealed x' },
    { ...good, authorization: `Sealed ${'A'.repeat(20_000)}` },
    { authorization: `Bearer ${token}` },
    { authorization: good.authorization.replace('Sealed', 'Bearer') },
    {},
  ]
  // An attacker has no instrumentation that makes a new trace of it.
  propagation.disable()
  for (const headers of attacks) await broker.raw(queue, `${subject} hostile`, headers)
  // Once is well: the second one is a replay.
  await broker.raw(queue, `${subject} again`, good)
  await broker.raw(queue, `${subject} again`, good)
  return attacks.length + 1
}

async function main() {
  const broker = await connect(url)
  for (const queue of JSON.parse(QUEUES)) await honest(broker, queue)
  const rejected = await hostile(broker, JSON.parse(QUEUES)[0])
  console.log(JSON.stringify({ rejected }))
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
