/** Hands callers over to children and to workers of a cluster: by environment, and by messages. */

require('./relay.cjs')
const { fork } = require('node:child_process')
const cluster = require('node:cluster')
const { join } = require('node:path')
const { runWithToken } = require('otel-token-relay')
const { handOver } = require('otel-token-relay/worker-threads')

const RECEIVER = 'worker:mails'
// The machine may be slow: what is tested here is who opens it, not when.
const SLOWLY = { maxAgeSeconds: 300 }
const tokens = Object.entries(JSON.parse(process.env.TOKENS))
const [[, alice]] = tokens
const COUNT = Number(process.env.COUNT)
const file = join(__dirname, 'child.cjs')

/** A child, what it said when it was ready, and a way to ask it. */
async function started(child) {
  const waiting = new Map()
  const answer = (id) => new Promise((resolve) => waiting.set(id, resolve))
  child.on('message', ({ id, seen }) => waiting.get(id)?.(seen))
  const environment = await answer('ready')
  let last = 0
  return {
    environment,
    async ask(caller) {
      last += 1
      const answered = answer(last)
      child.send({ id: last, caller })
      return answered
    },
    end: () => child.disconnect(),
  }
}

async function honest(children) {
  const seen = { right: 0, wrong: 0, nobody: 0 }
  const each = async ([subject, token], index) => {
    const child = children[index % children.length]
    for (let i = 0; i < COUNT; i += 1) {
      const answer = await runWithToken(token, async () => child.ask(await handOver(RECEIVER, SLOWLY)))
      seen[answer[0] === subject && answer[1] === subject ? 'right' : 'wrong'] += 1
    }
    const answer = await child.ask(await handOver(RECEIVER, SLOWLY))
    seen[answer[0] === 'nobody' && answer[1] === null ? 'nobody' : 'wrong'] += 1
  }
  await Promise.all(tokens.map(each))
  return seen
}

async function report(children) {
  const seen = await honest(children)
  const caller = await runWithToken(alice, () => handOver(RECEIVER, SLOWLY))
  const copies = [await children[0].ask(caller), await children[0].ask(caller)]
  const other = await children[0].ask(await runWithToken(alice, () => handOver('worker:thumbnails', SLOWLY)))
  const refused = { copy: copies[1], other, text: await children[0].ask(alice) }
  for (const child of children) child.end()
  return { ...seen, ...refused }
}

async function main() {
  const CALLER = await runWithToken(alice, () => handOver(RECEIVER, SLOWLY))
  const env = { ...process.env, TOKENS: '', CALLER }
  const children = await Promise.all([started(fork(file, { env })), started(fork(file))])
  const environment = { handed: CALLER, seen: children.map((child) => child.environment) }
  console.log(JSON.stringify({ environment, children: await report(children) }))

  cluster.setupPrimary({ exec: file })
  const workers = await Promise.all([started(cluster.fork()), started(cluster.fork())])
  console.log(JSON.stringify({ cluster: await report(workers) }))
  process.exit()
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
