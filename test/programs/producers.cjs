/** Producers that know nothing of the relay, under OpenTelemetry's own instrumentations. What the broker was given is reported. */

const { context, propagation } = require('@opentelemetry/api')
const { CompositePropagator, W3CTraceContextPropagator, suppressTracing } = require('@opentelemetry/core')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node')

const { MODE, RELAY_OPTIONS, SQS_URL, REDIS_PORT, TOKEN, OTHER_TOKEN } = process.env
const { createTokenRelay, runWithToken } = require('otel-token-relay')

const events = []
const processor = {
  onStart() {},
  onEnd: (span) => {
    for (const { name, attributes } of span.events) {
      if (name.startsWith('auth.'))
        events.push([name, attributes['auth.decision.reason'] ?? attributes['auth.decision.rule']])
    }
  },
  forceFlush: async () => {},
  shutdown: async () => {},
}
const early = MODE === 'late' ? undefined : createTokenRelay(JSON.parse(RELAY_OPTIONS))
const propagators = [new W3CTraceContextPropagator()]
if (early !== undefined) propagators.push(early.propagator)
new NodeSDK({
  autoDetectResources: false,
  textMapPropagator: MODE === 'late' ? undefined : new CompositePropagator({ propagators }),
  instrumentations: [getNodeAutoInstrumentations()],
  spanProcessors: MODE === 'none' ? [] : [processor],
  metricReaders: [],
  logRecordProcessors: [],
}).start()
if (MODE === 'late') {
  const relay = createTokenRelay(JSON.parse(RELAY_OPTIONS))
  propagation.disable()
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  )
}

/** `Sealed`, `Bearer`, or nothing. */
const scheme = (value) => String(value?.StringValue ?? value ?? '-').split(' ')[0]

async function kafka() {
  const { Kafka, logLevel } = require('kafkajs')
  const producer = new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).producer()
  return async (topic, headers) => {
    await producer.send({ topic, messages: [{ value: 'v', headers }] }).catch(() => undefined)
    return scheme(headers.authorization)
  }
}

async function sqs() {
  const { SendMessageCommand, SQSClient } = require('@aws-sdk/client-sqs')
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new SQSClient({ region: 'eu-central-1', endpoint: SQS_URL, credentials })
  return async (queue, attributes) => {
    const QueueUrl = `${SQS_URL}/123456789012/${queue}`
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'b', MessageAttributes: attributes }))
    return scheme(attributes.authorization)
  }
}

async function bullmq() {
  const { Queue } = require('bullmq')
  const { BullMQOtel } = require('bullmq-otel')
  const connection = { host: '127.0.0.1', port: Number(REDIS_PORT) }
  const queues = new Map()
  return async (name) => {
    if (!queues.has(name))
      queues.set(name, new Queue(name, { connection, telemetry: new BullMQOtel({ tracerName: 'b' }) }))
    const queue = queues.get(name)
    const { id } = await queue.add('job', {})
    const metadata = (await queue.getJob(id)).opts.telemetry?.metadata
    return scheme(JSON.parse(metadata ?? '{}').authorization)
  }
}

async function main() {
  const clients = { kafka: await kafka(), sqs: await sqs() }
  if (REDIS_PORT !== undefined) clients.bullmq = await bullmq()
  for (const [name, send] of Object.entries(clients)) {
    const seen = []
    const headers = {}
    const as = async (token, queue, own = headers) => {
      events.length = 0
      seen.push([
        await runWithToken(token, () => send(queue, own)),
        ...events.filter(([event]) => !event.endsWith('verified')),
      ])
    }
    await as(TOKEN, 'orders')
    await as(TOKEN, 'other')
    await as(OTHER_TOKEN, 'orders')
    await as(TOKEN, 'clear')
    events.length = 0
    seen.push([await send('orders', headers)])
    await runWithToken(TOKEN, () =>
      context.with(suppressTracing(context.active()), async () => void seen.push([await send('orders', headers)])),
    )
    if (name === 'sqs') {
      const attribute = { DataType: 'String', StringValue: 'x' }
      for (const count of [7, 8]) {
        const own = Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, attribute]))
        await as(TOKEN, 'orders', own).catch((error) => seen.push([error.name]))
        seen.push([Object.keys(own).length, 'traceparent' in own])
      }
    }
    console.log(JSON.stringify({ [name]: seen }))
  }
  process.exit()
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
