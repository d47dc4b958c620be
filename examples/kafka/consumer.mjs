/** Kafka by kafkajs, the consumer: works on each message as the caller who ordered. */

import process from 'node:process'
import { Kafka, logLevel } from 'kafkajs'
import { getActiveCredential } from 'otel-token-relay'
import { asCaller } from 'otel-token-relay/kafkajs'

const { KAFKA_BROKERS = '127.0.0.1:9092', PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

async function ship({ message }) {
  const response = await fetch(PROFILE_URL)
  const profile = await response.json()
  const { article } = JSON.parse(message.value)
  console.log(`ships ${article} for ${getActiveCredential().subject}; profile saw ${profile.caller}`)
}

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR })
const consumer = kafka.consumer({ groupId: 'shipping' })
await consumer.connect()
await consumer.subscribe({ topic: 'orders', fromBeginning: true })
await consumer.run({
  // A message whose token is rejected: keep it somewhere, the partition goes on.
  eachMessage: asCaller(ship, { onRejected: (_payload, { code }) => console.log(`rejected: ${code}`) }),
})
console.log(`consumer listens on kafka://${KAFKA_BROKERS}`)
