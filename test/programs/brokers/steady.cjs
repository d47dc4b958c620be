/** Sends messages as their callers, each until the broker has it. Says how many it has, and how often it has failed. */

const { setTimeout: pause } = require('node:timers/promises')
require('./otel.cjs')
const { runWithToken } = require('otel-token-relay')

const { BROKER, COUNT, PACE_MILLIS = '0', QUEUES, TOKENS, URL: url } = process.env
const PATIENCE_MILLIS = 3_000
const progress = { sent: 0, failures: 0 }

/** A message that is not confirmed may be lost, so it is sent again. */
async function sendUntilConfirmed(broker, queue, token, text) {
  for (;;) {
    const send = runWithToken(token, () => broker.produce(queue, text)).then(() => true)
    const isSent = await Promise.race([send, pause(PATIENCE_MILLIS, false)]).catch(() => false)
    if (isSent) return
    progress.failures += 1
    await pause(100)
  }
}

async function main() {
  const [queue] = JSON.parse(QUEUES)
  const broker = await require(`./${BROKER}.cjs`).connect(url)
  process.stdin.on('data', () => console.log(JSON.stringify({ progress })))
  process.on('unhandledRejection', () => undefined)
  console.log(JSON.stringify({ started: true }))
  const send = async ([subject, token]) => {
    for (let i = 0; i < Number(COUNT); i += 1) {
      await sendUntilConfirmed(broker, queue, token, `${subject} ${i}`)
      progress.sent += 1
      await pause(Number(PACE_MILLIS))
    }
  }
  await Promise.all(Object.entries(JSON.parse(TOKENS)).map(send))
  console.log(JSON.stringify({ done: progress.failures }))
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
