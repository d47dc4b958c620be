/** A broker: an SQS of our own, with one queue, and an eye on everything that it is given. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSqsServer } from 'local-aws-sqs'
import { keepLatest } from './keep-latest.ts'
import { close } from './loopback.ts'

export interface Queue extends AsyncDisposable {
  /** Of the broker. */
  readonly endpoint: string
  /** Of the queue. */
  readonly url: string
  /** The latest 100 messages that were sent, as they came. */
  readonly messages: readonly string[]
}

/** The name of the queue, and of the destination in the rules: `aws_sqs:orders`. */
export const QUEUE = 'orders'
const MAX_MESSAGES = 100

export async function startQueue(): Promise<Queue> {
  const messages: string[] = []
  const server: Server = await createSqsServer({ port: 0, hostname: '127.0.0.1', queues: [{ QueueName: QUEUE }] })
  server.prependListener('request', (request) => {
    if (!String(request.headers['x-amz-target']).endsWith('.SendMessage')) return
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => keepLatest(messages, [Buffer.concat(chunks).toString()], MAX_MESSAGES))
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { endpoint, url: `${endpoint}/123456789012/${QUEUE}`, messages, [Symbol.asyncDispose]: () => close(server) }
}
