/** Consumes a queue, started inside a request of another caller. Reports as whom the handlers have run. */

const { relay, decided } = require('./otel.cjs')
const { getActiveCredential, runWithToken } = require('otel-token-relay')

const { BROKER, QUEUE, SINK, STRANGER, UNDECIDED_MILLIS, URL: url } = process.env
const seen = { right: 0, wrong: 0, rejected: {}, decided }
const texts = new Set()
const patience = UNDECIDED_MILLIS === undefined ? {} : { undecidedMillis: Number(UNDECIDED_MILLIS) }

/** A message says whose it is; what is sent on while it is worked on must be his, too. */
async function handle(text) {
  const [subject] = text.split(' ')
  const sent = await (await fetch(`${SINK}/${subject}`)).json()
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
  const isRight = getActiveCredential()?.subject === subject && sent.subject === subject
  seen[isRight ? 'right' : 'wrong'] += 1
  texts.add(text)
}
function onRejected(code) {
  seen.rejected[code] = (seen.rejected[code] ?? 0) + 1
}

// A broker that goes away fails whatever was under way.
process.on('unhandledRejection', () => undefined)

async function main() {
  const broker = await require(`./${BROKER}.cjs`).connect(url)
  await runWithToken(STRANGER, () => broker.consume(QUEUE, handle, onRejected, patience))
  process.stdin.on('data', async () => {
    const deadLetters = await broker.deadLetters?.().catch(() => [])
    console.log(JSON.stringify({ seen: { ...seen, distinct: texts.size, deadLetters } }))
  })
  console.log(JSON.stringify({ ready: relay.ready() }))
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
