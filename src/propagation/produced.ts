/** Where a message that is produced goes, and whether it has room for a token. */

import type { Attributes } from '@opentelemetry/api'
import type { Target } from '../destination/pattern.ts'
import { rabbitNameOf } from '../destination/pattern.ts'

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

/**
 * Where the message of a producer span goes: `system:name`, as `setDestination` expects it. Reads the attributes of the
 * instrumentations that are known; `undefined` if they do not say it clearly.
 */
export function destinationOf(attributes: Attributes | undefined): string | undefined {
  if (attributes === undefined) return undefined
  const system = attributes['messaging.system']
  if (system === undefined) return bullmqDestination(attributes)
  const known = typeof system === 'string' && Object.hasOwn(NAMES, system) ? NAMES[system] : undefined
  const name = known?.[1](attributes)
  return known === undefined || name === undefined ? undefined : `${known[0]}:${name}`
}

function rabbitName(attributes: Attributes): string | undefined {
  const exchange = attributes['messaging.destination.name'] ?? attributes['messaging.destination']
  const key = attributes['messaging.rabbitmq.destination.routing_key'] ?? attributes['messaging.rabbitmq.routing_key']
  return typeof exchange === 'string' ? rabbitNameOf(exchange, text(key)) : undefined
}

function topicOf(arn: unknown): string | undefined {
  return typeof arn === 'string' ? /^arn:[^:]*:sns:[^:]*:[^:]*:([^:]+)$/.exec(arn)?.[1] : undefined
}

/** bullmq-otel has other names. */
function bullmqDestination(attributes: Attributes): string | undefined {
  const queue = text(attributes['bullmq.queue.name'])
  return queue === undefined ? undefined : `bullmq:${queue}`
}

/** An eleventh attribute is an error of SQS and SNS, and costs the whole message. */
const MAX_ATTRIBUTES = 10

/** Whether `carrier` has no room for one more attribute on its way to `target`. */
export function isFull(carrier: object, target: Target): boolean {
  const isCounted = target.kind === 'messaging' && (target.system === 'aws_sqs' || target.system === 'aws_sns')
  return isCounted && Object.keys(carrier).length >= MAX_ATTRIBUTES
}
