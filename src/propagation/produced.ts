/** Where the message of a producer span goes, in the words of the instrumentations that are known. */

import type { Attributes } from '@opentelemetry/api'

type Read = (attributes: Attributes) => string | undefined

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const named: Read = (attributes) => text(attributes['messaging.destination.name'])

/** By `messaging.system`. */
const NAMES: Readonly<Record<string, readonly [system: string, name: Read]>> = {
  kafka: ['kafka', named],
  aws_sqs: ['aws_sqs', named],
  // The last part of the ARN; a message to a telephone goes to no topic.
  'aws.sns': ['aws_sns', (attributes) => topicOf(attributes['aws.sns.topic.arn'])],
  aws_sns: ['aws_sns', (attributes) => topicOf(attributes['aws.sns.topic.arn'])],
  rabbitmq: ['rabbitmq', rabbitName],
}

/** `system:name`, as `setDestination` would be told; `undefined` where it is not clear. */
export function destinationOf(attributes: Attributes | undefined): string | undefined {
  if (attributes === undefined) return undefined
  const system = attributes['messaging.system']
  if (system === undefined) return bullmqDestination(attributes)
  const known = typeof system === 'string' && Object.hasOwn(NAMES, system) ? NAMES[system] : undefined
  const name = known?.[1](attributes)
  return known === undefined || name === undefined ? undefined : `${known[0]}:${name}`
}

/** The exchange; the nameless one brings a message to the queue that is called like its routing key (AMQP 0-9-1 §3.1.3.1). */
function rabbitName(attributes: Attributes): string | undefined {
  const exchange = attributes['messaging.destination.name'] ?? attributes['messaging.destination']
  const key = attributes['messaging.rabbitmq.destination.routing_key'] ?? attributes['messaging.rabbitmq.routing_key']
  return exchange === '' ? text(key) : text(exchange)
}

function topicOf(arn: unknown): string | undefined {
  return typeof arn === 'string' ? /^arn:[^:]*:sns:[^:]*:[^:]*:([^:]+)$/.exec(arn)?.[1] : undefined
}

/** bullmq-otel has names of its own. */
function bullmqDestination(attributes: Attributes): string | undefined {
  const queue = text(attributes['bullmq.queue.name'])
  return queue === undefined ? undefined : `bullmq:${queue}`
}
