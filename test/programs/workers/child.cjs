/** A process that was started for a caller: says whose work it does, from its environment and from messages. */

require('./relay.cjs')
const { getActiveCredential } = require('otel-token-relay')
const { takeOver } = require('otel-token-relay/worker-threads')

const RECEIVER = 'worker:mails'
const { CALLER, SINK } = process.env

async function work() {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
  const response = await fetch(SINK)
  const { subject } = await response.json()
  return [getActiveCredential()?.subject ?? 'nobody', subject]
}
const take = (caller) => takeOver(RECEIVER, caller, work).catch(({ code }) => code)

process.on('message', async ({ id, caller }) => process.send({ id, seen: await take(caller) }))
void (async () => {
  const environment = CALLER === undefined ? undefined : [await take(CALLER), await take(CALLER)]
  process.send({ id: 'ready', seen: environment })
})()
process.on('disconnect', () => process.exit())
