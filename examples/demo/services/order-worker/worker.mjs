/** order-worker: no server at all. It takes orders from a queue, and works on each as the caller who ordered. */

import process from 'node:process'
import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { context } from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import { getActiveCredential } from 'otel-token-relay'
import { consume } from 'otel-token-relay/messaging'

const { PROFILE_SERVICE_URL, QUEUE_URL } = process.env

const sqs = new SQSClient()
const queue = { QueueUrl: QUEUE_URL }

/** Asking for messages belongs to no order, and is not worth a trace. */
const ask = (command) => context.with(suppressTracing(context.active()), () => sqs.send(command))

async function work({ Body, MessageAttributes, ReceiptHandle }) {
  const headers = Object.fromEntries(
    Object.entries(MessageAttributes ?? {}).map(([name, { StringValue }]) => [name, StringValue]),
  )
  const { verdict, error } = await consume({ source: 'aws_sqs:orders', headers }, async () => {
    const response = await fetch(`${PROFILE_SERVICE_URL}/profiles/${JSON.parse(Body).user}`)
    const profile = await response.json()
    console.log(`order-worker works as ${getActiveCredential().subject}; profile-service saw ${profile.caller}`)
  })
  if (verdict === 'rejected') console.log(`order-worker rejects an order: ${error.code}`)
  // What is undecided comes again when its visibility time-out is over.
  if (verdict !== 'undecided') await ask(new DeleteMessageCommand({ ...queue, ReceiptHandle }))
}

console.log(`order-worker listens on ${new URL(QUEUE_URL).origin}`)
for (;;) {
  const request = new ReceiveMessageCommand({ ...queue, MessageAttributeNames: ['All'], WaitTimeSeconds: 1 })
  const { Messages = [] } = await ask(request)
  for (const message of Messages) await work(message)
}
