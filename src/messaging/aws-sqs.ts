/** otel-token-relay/aws-sqs: batches of SQS messages are worked on one by one, each as whoever sent it. */

import type { TokenError } from '../token/errors.ts'
import { consume } from './consume.ts'
import type { AdapterOptions, Handler } from './options.ts'
import { produceBeside } from './produce.ts'

export type { AdapterOptions, Handler } from './options.ts'

/** A message as SQS delivers it, to `ReceiveMessage` or to a Lambda function. */
export interface SqsMessage {
  readonly MessageAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly messageAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly Body?: string | undefined
  readonly body?: string | undefined
}

/** An attribute of a message. */
export interface SqsAttribute {
  readonly DataType: 'String'
  readonly StringValue: string
}

/** What became of a batch. */
export interface SqsBatch<M> {
  /** To be deleted: they were worked on, or `onRejected` has taken them. */
  readonly done: readonly M[]
  /**
   * To be left where they are: they come again when their visibility time-out is over, and go to the dead-letter queue when
   * they have come too often. `reason` is a `TokenError`, or what the handler has thrown.
   */
  readonly failed: readonly { readonly message: M; readonly reason: unknown }[]
}

/**
 * Runs `handler` for one message of a batch after the other, each as whoever sent it, and the batch as nobody. Messages must
 * have been asked for with their attributes (`MessageAttributeNames: ['All']`). `queueName` is the last part of the queue's
 * URL; messages that came through a topic of SNS have it as `aws_sns:<topic>` in their rule: give that as `source` then.
 */
export async function eachAsCaller<M extends SqsMessage>(
  queueName: string,
  messages: readonly M[],
  handler: Handler<M>,
  options: AdapterOptions<M> & { readonly source?: string } = {},
): Promise<SqsBatch<M>> {
  const [done, failed]: [M[], { message: M; reason: unknown }[]] = [[], []]
  const { source = `aws_sqs:${queueName}`, onRejected } = options
  for (const message of messages) {
    try {
      const received = { source, headers: headersOf(message, source) }
      const consumed = await consume(received, (delivery) => handler(message, delivery), options)
      const rejected: TokenError | undefined = consumed.verdict === 'handled' ? undefined : consumed.error
      if (rejected !== undefined && (consumed.verdict === 'undecided' || onRejected === undefined)) throw rejected
      if (rejected !== undefined) await onRejected?.(message, rejected)
      done.push(message)
    } catch (reason) {
      failed.push({ message, reason })
    }
  }
  return { done, failed }
}

/** An eleventh attribute is an error of SQS. */
const MAX_ATTRIBUTES = 10

/**
 * Calls `send` with the attributes of a message to the queue from the caller of now, for clients that no instrumentation
 * knows: `sendAsCaller('orders', (caller) => sqs.send(new SendMessageCommand({ …, MessageAttributes: { ...own, ...caller }
 * })), own)`. They are one for the token, and those of the trace. A message has ten attributes at most: where there is not
 * enough room beside `own`, the token is left out, and then the trace.
 */
export function sendAsCaller<T>(
  queueName: string,
  send: (attributes: Record<string, SqsAttribute>) => T,
  own: Readonly<Record<string, unknown>> = {},
): Promise<Awaited<T>> {
  const taken = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(textOf(value) ?? '')]))
  return produceBeside(taken, `aws_sqs:${queueName}`, (headers) =>
    send(Object.fromEntries(fitting(headers, taken).map(([name, value]) => [name, attribute(value)]))),
  )
}

/** Whether the token comes before the trace is for the order of the application's propagators to say. */
function fitting(headers: Readonly<Record<string, string>>, own: object): readonly (readonly [string, string])[] {
  const fits = (names: readonly string[]): boolean => new Set([...Object.keys(own), ...names]).size <= MAX_ATTRIBUTES
  const { authorization: _, ...trace } = headers
  return Object.entries([headers, trace].find((added) => fits(Object.keys(added))) ?? {})
}

function attribute(value: string): SqsAttribute {
  return { DataType: 'String', StringValue: value }
}

/** Lambda spells the names in another case. */
function headersOf({ MessageAttributes, messageAttributes, Body, body }: SqsMessage, source: string) {
  const own = MessageAttributes ?? messageAttributes ?? {}
  const isWrapped = source.startsWith('aws_sns:') && Object.keys(own).length === 0
  const attributes = isWrapped ? attributesIn(Body ?? body ?? '') : own
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, textOf(value)]))
}

/** Of the envelope that SNS puts around a message, unless the subscription says "raw". */
function attributesIn(body: string): object {
  try {
    const { MessageAttributes } = JSON.parse(body) as { MessageAttributes?: unknown }
    return typeof MessageAttributes === 'object' && MessageAttributes !== null ? MessageAttributes : {}
  } catch {
    return {}
  }
}

function textOf(value: unknown): unknown {
  const { StringValue, stringValue, Value } = (value ?? {}) as Record<string, unknown>
  return StringValue ?? stringValue ?? Value
}
