/** BullMQ, with `bullmq-otel` for queues whose name ends with `otel`. */

const { Queue, Worker } = require('bullmq')
const { BullMQOtel } = require('bullmq-otel')
const { addAsCaller, asCaller } = require('otel-token-relay/bullmq')

exports.system = 'bullmq'

exports.connect = async (url) => {
  const connection = { host: '127.0.0.1', port: Number(new URL(url).port), maxRetriesPerRequest: null }
  const telemetryOf = (name) => (name.endsWith('otel') ? { telemetry: new BullMQOtel({ tracerName: 'test' }) } : {})
  const queues = new Map()
  const queueOf = (name) => {
    if (!queues.has(name)) {
      queues.set(name, new Queue(name, { connection, ...telemetryOf(name) }))
      queues.get(name).on('error', () => undefined)
    }
    return queues.get(name)
  }
  return {
    produce: (name, text) =>
      name.endsWith('otel')
        ? queueOf(name).add('job', { text })
        : addAsCaller(name, (caller) => queueOf(name).add('job', { text }, { attempts: 3, ...caller })),
    raw: (name, text, headers) =>
      queueOf(name).add('job', { text }, { telemetry: { metadata: JSON.stringify(headers) } }),
    async consume(name, handler, onRejected, options) {
      for (const each of [name, `${name}-otel`]) {
        const worker = new Worker(
          each,
          asCaller((job) => handler(job.data.text), options),
          // A job that was under way when Redis ended is found again in seconds, not in a minute.
          {
            connection,
            concurrency: 10,
            lockDuration: 4_000,
            stalledInterval: 2_000,
            maxStalledCount: 5,
            ...telemetryOf(each),
          },
        )
        worker.on('failed', (_, error) => onRejected(error.message))
        worker.on('error', () => undefined)
        await worker.waitUntilReady()
      }
    },
  }
}
