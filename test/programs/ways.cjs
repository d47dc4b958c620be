/** How code gets from a handler to a call: each way runs `fn` later, in the context in which it was requested. */

const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks')
const { EventEmitter, once } = require('node:events')
const { stat } = require('node:fs')
const { Readable } = require('node:stream')
const { finished, pipeline } = require('node:stream/promises')
const timers = require('node:timers/promises')

/** One emitter for all callers, driven by a timer without a caller. */
const shared = new EventEmitter().setMaxListeners(0)
setInterval(() => shared.emit('tick'), 1).unref()

const unrelated = new AsyncLocalStorage()

/** A way that has a callback. */
const called = (start) => (fn) => new Promise((resolve, reject) => start(() => fn().then(resolve, reject)))

module.exports = {
  now: (fn) => fn(),
  microtask: called((run) => queueMicrotask(run)),
  'next tick': called((run) => process.nextTick(run)),
  immediate: called((run) => setImmediate(run)),
  timer: called((run) => setTimeout(run, 1)),
  'timer promise': (fn) => timers.setTimeout(1).then(fn),
  'file callback': called((run) => stat(__filename, run)),
  'own emitter': called((run) => {
    const emitter = new EventEmitter().on('go', run)
    setImmediate(() => emitter.emit('go'))
  }),
  'shared emitter, bound': called((run) => shared.once('tick', AsyncResource.bind(run))),
  'shared emitter, awaited': async (fn) => {
    await once(shared, 'tick')
    return fn()
  },
  stream: async (fn) => {
    const stream = Readable.from(['a', 'b']).resume()
    await finished(stream)
    return fn()
  },
  pipeline: (fn) =>
    pipeline(
      Readable.from(['a', 'b']),
      async function* (source) {
        for await (const chunk of source) if (chunk === 'b') yield await fn()
      },
      async (source) => {
        for await (const _ of source);
      },
    ),
  'another storage': (fn) =>
    unrelated.run(undefined, async () => {
      unrelated.enterWith({})
      await timers.setImmediate()
      return fn()
    }),
}
