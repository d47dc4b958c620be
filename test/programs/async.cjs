/** A service whose callers share emitters, generators, queues, pools and loaders, and call on through them. */

const { EventEmitter } = require('node:events')
const http = require('node:http')
const DataLoader = require('dataloader')
const { createPool } = require('generic-pool')
const { bind, bindEmitter, perCaller, wrapExecutor } = require('otel-token-relay')
const { default: pLimit } = require('p-limit')
const { default: PQueue } = require('p-queue')
const { listen } = require('./routes.cjs')

const call = (url) => fetch(url).then((response) => response.text())

/** Runs what all have left here at once, in the timer of the first caller. */
const callbacks = []
function later(callback) {
  if (callbacks.push(callback) === 1) setTimeout(() => callbacks.splice(0).map((each) => each()), 3)
}

const emitter = bindEmitter(new EventEmitter()).setMaxListeners(0)

/** Calls whatever it is fed; each step runs as the caller that takes it. */
async function* caller() {
  for (let url = yield; ; ) url = yield await call(url)
}

/** A queue as many write it: each task starts the next one when it ends. */
class Queue {
  waiting = []
  running = 0

  add(task) {
    return new Promise((resolve) => {
      this.waiting.push(async () => resolve(await task()))
      this.next()
    })
  }

  async next() {
    if (this.running === 3 || this.waiting.length === 0) return
    this.running += 1
    await this.waiting.shift()()
    this.running -= 1
    this.next()
  }
}

const pQueue = wrapExecutor(new PQueue({ concurrency: 3 }))
const limit = wrapExecutor(pLimit(3))
const queue = wrapExecutor(new Queue())
const pool = wrapExecutor(createPool({ create: async () => ({}), destroy: async () => undefined }, { max: 3 }))
const loader = perCaller(() => new DataLoader((urls) => Promise.all(urls.map(call))))

const ways = {
  'a callback': (url) => new Promise((resolve) => later(bind(() => resolve(call(url))))),
  'a listener': (url) =>
    new Promise((resolve) => {
      emitter.once('go', () => resolve(call(url)))
      later(() => emitter.emit('go'))
    }),
  'an async generator': async (url) => {
    const steps = caller()
    await steps.next()
    const next = bind(() => steps.next(url))
    return new Promise((resolve) => later(() => resolve(next())))
  },
  'an async iteration': async (url) => {
    for await (const _ of [url, url].slice(1)) await call(url)
  },
  'a timer': (url) => new Promise((resolve) => setTimeout(() => resolve(call(url)), 3)),
  'p-queue': (url) => pQueue.add(() => call(url)),
  'p-queue, many': (url) => pQueue.addAll([() => call(url)]),
  'p-limit': (url) => limit(call, url),
  'p-limit, many': (url) => limit.map([url], call),
  'a queue of its own': (url) => queue.add(() => call(url)),
  'generic-pool': (url) => pool.use(() => call(url)),
  'generic-pool, by hand': async (url) => {
    const resource = await pool.acquire()
    await call(url).finally(() => pool.release(resource))
  },
  DataLoader: (url) => loader().load(url),
}

/** A batch of several callers has no caller. */
const shared = new DataLoader((urls) => Promise.all(urls.map(call)), { batchScheduleFn: (run) => setTimeout(run, 5) })
const ambiguous = { 'a shared DataLoader': (url) => shared.load(url) }

/** The same without any help of ours, to see that the rig can tell. */
const naive = {
  'a naive callback': (url) => new Promise((resolve) => later(() => resolve(call(url)))),
}

const server = http.createServer(async (incoming, response) => {
  const { searchParams } = new URL(incoming.url, 'http://service')
  const way = searchParams.get('way')
  try {
    await (ways[way] ?? ambiguous[way] ?? naive[way])(searchParams.get('url'))
    response.end()
  } catch (error) {
    response.writeHead(502).end(error.message)
  }
})
process.stdout.write(
  `${JSON.stringify({ ways: Object.keys(ways), ambiguous: Object.keys(ambiguous), naive: Object.keys(naive) })}\n`,
)
listen(server)
