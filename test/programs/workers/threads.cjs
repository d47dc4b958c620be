/** Has tasks of many callers done by a pool and by threads, interleaved, and everything refused that should be. */

require('./relay.cjs')
const { once } = require('node:events')
const { join } = require('node:path')
const { Worker } = require('node:worker_threads')
const { context, trace } = require('@opentelemetry/api')
const { Piscina } = require('piscina')
const { runWithToken } = require('otel-token-relay')
const { handOver, runInWorker } = require('otel-token-relay/worker-threads')

const RECEIVER = 'worker:thumbnails'
// The machine may be slow: what is tested here is who opens it, not when.
const SLOWLY = { maxAgeSeconds: 300 }
const filename = join(__dirname, 'task.cjs')
const tokens = Object.entries(JSON.parse(process.env.TOKENS))
const [[, alice], [, bob]] = tokens
const COUNT = Number(process.env.COUNT)

const outcome = (promise) =>
  promise.then(
    (value) => value,
    ({ name, message, code, cause }) => ({ name, message, code, cause }),
  )

/** All callers at once, each with one task after the other, and some work without a caller between them. */
async function honest(run) {
  const seen = { right: 0, wrong: 0, nobody: 0 }
  const each = async ([subject, token]) => {
    for (let i = 0; i < COUNT; i += 1) {
      await runWithToken(token, async () => {
        const { subject: ran, sent } = await run({ pause: 5 })
        seen[ran === subject && sent.subject === subject ? 'right' : 'wrong'] += 1
      })
      if (i > 0) continue
      const { subject: ran, sent } = await run({ pause: 5 })
      seen[ran === 'nobody' && sent.subject === null ? 'nobody' : 'wrong'] += 1
    }
  }
  await Promise.all(tokens.map(each))
  return seen
}

async function errors(run) {
  const as = (task) => runWithToken(alice, () => outcome(run(task)))
  return {
    fail: await as({ fail: true }),
    result: await as({ result: { a: [1n, null] } }).then(({ a }) => typeof a[0]),
  }
}

async function pool() {
  const threads = new Piscina({ filename, minThreads: 2, maxThreads: 3, concurrentTasksPerWorker: 5 })
  const run = (task, options) => runInWorker(RECEIVER, threads, task, { ...SLOWLY, ...options })
  const report = { ...(await honest(run)), ...(await errors(run)) }
  const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
  const traced = await runWithToken(alice, () =>
    context.with(trace.setSpanContext(context.active(), span), () => run({ pause: 1 })),
  )
  const other = await runWithToken(alice, () => outcome(run({}, { name: 'other' })))
  const caller = await runWithToken(alice, () => handOver(RECEIVER, SLOWLY))
  const copies = await Promise.all(Array.from({ length: 12 }, () => outcome(threads.run({ caller, task: {} }))))
  const posted = await runWithToken(bob, () => runInWorker(RECEIVER, threads, {}, { ...SLOWLY, name: 'echo' }))
  const opened = copies.filter(({ subject }) => subject !== undefined).length
  const refused = copies.find(({ message }) => message !== undefined)
  await threads.destroy()
  return { ...report, traceId: traced.traceId, other, opened, refused, posted }
}

async function threads() {
  const workers = [0, 1].map(() => new Worker(filename, { workerData: { mode: 'answer' } }))
  let turn = 0
  const run = (task, options) => runInWorker(RECEIVER, workers[turn++ % 2], task, { ...SLOWLY, ...options })
  const report = { ...(await honest(run)), ...(await errors(run)) }
  const caller = await runWithToken(alice, () => handOver(RECEIVER, SLOWLY))
  const fake = { run: (message) => runInWorkerRaw(workers[0], { ...message, caller }) }
  await runInWorker(RECEIVER, fake, {}, SLOWLY)
  const refused = await outcome(runInWorker(RECEIVER, fake, {}, SLOWLY))
  const uncloneable = await outcome(run({ result: () => undefined }).then(() => 'cloned'))
  const aborted = await outcome(run({ pause: 60_000 }, { signal: AbortSignal.timeout(10) }))
  const buffer = new ArrayBuffer(8)
  const moved = await run({ result: buffer }, { transferList: [buffer] })
  const lost = outcome(runInWorker(RECEIVER, workers[0], { pause: 1e9 }, SLOWLY))
  await workers[0].terminate()
  const late = await outcome(runInWorker(RECEIVER, workers[0], {}, SLOWLY))
  await workers[1].terminate()
  return {
    ...report,
    refused,
    uncloneable,
    aborted,
    moved: [moved.byteLength, buffer.byteLength],
    lost: await lost,
    late,
  }
}

/** Posts what an attacker has got hold of, as `runInWorker` posts its own. */
function runInWorkerRaw(worker, message) {
  const { port1, port2 } = new MessageChannel()
  worker.postMessage({ ...message, answer: port2 }, [port2])
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data: { status, result, error } }) => {
      port1.close()
      if (status === 'done') resolve(result)
      else reject(error)
    }
  })
}

async function data() {
  const caller = await runWithToken(alice, () => handOver(RECEIVER, SLOWLY))
  const start = async () => (await once(new Worker(filename, { workerData: { mode: 'data', caller } }), 'message'))[0]
  return { caller, first: await start(), second: await start() }
}

async function main() {
  console.log(JSON.stringify({ pool: await pool() }))
  console.log(JSON.stringify({ threads: await threads() }))
  console.log(JSON.stringify({ data: await data() }))
  process.exit()
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
