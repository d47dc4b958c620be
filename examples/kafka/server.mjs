/** Kafka by kafkajs, the service that takes orders: the caller goes along with each message, sealed. */

import { createServer } from 'node:http'
import process from 'node:process'
import { Kafka, logLevel } from 'kafkajs'
import { produce } from 'otel-token-relay/messaging'

const { KAFKA_BROKERS = '127.0.0.1:9092', PORT = '8080' } = process.env

const producer = new Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR }).producer()
await producer.connect()

const server = createServer(async (_request, response) => {
  await produce('kafka:orders', (headers) => {
    return producer.send({ topic: 'orders', messages: [{ value: JSON.stringify({ article: 'tea' }), headers }] })
  })
  response.writeHead(202).end()
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`orders listens on http://127.0.0.1:${server.address().port}`)
})
