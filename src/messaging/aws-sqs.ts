/** otel-token-relay/aws-sqs: handles a batch of SQS messages one by one, each as its caller. */

import { monotonicNow } from '../base/clock.ts'
import type { TokenError } from '../token/errors.ts'
import { consume } from './consume.ts'
import type { AdapterOptions, Handler } from './options.ts'
import { produceWithHeaders } from './produce.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { AdapterOptions, Handler } from './options.ts'

/** A message as SQS delivers it to `ReceiveMessage` or to a Lambda function. */
export interface SqsMessage {
  readonly MessageAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly messageAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly Body?: string | undefined
  readonly body?: string | undefined
}

/** A message attribute. */
export interface SqsAttribute {
  readonly DataType: 'String'
  readonly StringValue: string
}

/** The result of a batch. */
export interface SqsBatch<M> {
  /** Delete these messages: they were handled, or `onRejected` took them. */
  readonly done: readonly M[]
  /**
   * Do not delete these messages: SQS delivers them again after the visibility time-out, and moves them to the
   * dead-letter queue after too many deliveries. `reason` is a `TokenError` or the error of the handler.
   */
  readonly failed: readonly { readonly message: M; readonly reason: unknown }[]
}

const DEFAULT_UNDECIDED_MILLIS = 10_000

/**
 * Runs `handler` for the messages of a batch one after the other, each as its caller. Request messages with their
 * attributes (`MessageAttributeNames: ['All']`). `queueName` is the last part of the queue URL. If the messages came
 * through an SNS topic, their rule is named `aws_sns:<topic>`: pass that as `source`.
 *
 * Here `undecidedMillis` applies to the whole batch, and its default is 10000: a message that waits longer than the
 * visibility time-out of the queue is delivered to another consumer. Undecided messages come again after that time-out,
 * and each delivery counts for `maxReceiveCount`.
 */
export async function eachAsCaller<M extends SqsMessage>(
  queueName: string,
  messages: readonly M[],
  handler: Handler<M>,
  options: AdapterOptions<M> & { readonly source?: string } = {},
): Promise<SqsBatch<M>> {
  checkUndecidedMillis(options)
  const [done, failed]: [M[], { message: M; reason: unknown }[]] = [[], []]
  const { source = `aws_sqs:${queueName}`, onRejected, undecidedMillis = DEFAULT_UNDECIDED_MILLIS, signal } = options
  const deadline = monotonicNow() + undecidedMillis
  for (const message of messages) {
    try {
      const received = { source, headers: headersOf(message, source) }
      const waiting = { undecidedMillis: Math.max(0, deadline - monotonicNow()), signal }
      const consumed = await consume(received, (delivery) => handler(message, delivery), waiting)
      const error: TokenError | undefined = consumed.verdict === 'handled' ? undefined : consumed.error
      if (error !== undefined && (consumed.verdict === 'undecided' || onRejected === undefined)) throw error
      if (error !== undefined) await onRejected?.(message, error)
      done.push(message)
    } catch (reason) {
      failed.push({ message, reason })
    }
  }
  return { done, failed }
}

/** SQS refuses a message with more attributes. */
const MAX_ATTRIBUTES = 10

/**
 * Calls `send` with the attributes for a message to the queue from the current caller, for clients without an
 * instrumentation: `sendAsCaller('orders', (caller) => sqs.send(new SendMessageCommand({ …, MessageAttributes: {
 * ...own, ...caller } })), own)`. One attribute is for the token, the others are for the trace. A message has at most
 * ten attributes: if `own` leaves too little room, the token is left out first, and then the trace.
 */
export function sendAsCaller<T>(
  queueName: string,
  send: (attributes: Record<string, SqsAttribute>) => T,
  own: Readonly<Record<string, unknown>> = {},
): Promise<Awaited<T>> {
  const existing = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(stringOf(value) ?? '')]))
  return produceWithHeaders(existing, `aws_sqs:${queueName}`, (headers) =>
    send(Object.fromEntries(selectFitting(headers, existing).map(([name, value]) => [name, createAttribute(value)]))),
  )
}

/** Leaves out the token before the trace, whatever the order of the application's propagators. */
function selectFitting(headers: Readonly<Record<string, string>>, own: object): readonly (readonly [string, string])[] {
  const fits = (names: readonly string[]): boolean => new Set([...Object.keys(own), ...names]).size <= MAX_ATTRIBUTES
  const { authorization: _, ...trace } = headers
  return Object.entries([headers, trace].find((added) => fits(Object.keys(added))) ?? {})
}

function createAttribute(value: string): SqsAttribute {
  return { DataType: 'String', StringValue: value }
}

/** Reads the attributes. Lambda spells their names in another case, and SNS may wrap them in the body. */
function headersOf({ MessageAttributes, messageAttributes, Body, body }: SqsMessage, source: string) {
  const own = MessageAttributes ?? messageAttributes ?? {}
  const isWrapped = source.startsWith('aws_sns:') && Object.keys(own).length === 0
  const attributes = isWrapped ? readEnvelope(Body ?? body ?? '') : own
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, stringOf(value)]))
}

/** Reads the attributes from the envelope that SNS puts around a message if the subscription is not "raw". */
function readEnvelope(body: string): object {
  try {
    const { MessageAttributes } = JSON.parse(body) as { MessageAttributes?: unknown }
    return typeof MessageAttributes === 'object' && MessageAttributes !== null ? MessageAttributes : {}
  } catch {
    return {}
  }
}

function stringOf(value: unknown): unknown {
  const { StringValue, stringValue, Value } = (value ?? {}) as Record<string, unknown>
  return StringValue ?? stringValue ?? Value
}
