/** A service on a real socket that answers as a test tells it, and remembers what it was asked. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { close, listen } from './issuer.ts'

interface Asked {
  readonly method: string
  readonly target: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Service {
  readonly origin: string
  readonly asked: readonly Asked[]
  /** How many connections were opened. */
  readonly connections: () => number
  /** From now on requests are answered like this; `n` counts all requests from 1. */
  answer(reply: Reply): void
  /** Resolves once `count` requests have arrived. */
  arrived(count: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type Reply = (response: ServerResponse, n: number, asked: Asked) => void

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

export async function startService(first: Reply = (response) => json(response, {})): Promise<Service> {
  const asked: Asked[] = []
  const waiting = new Set<() => void>()
  let reply = first
  let connections = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const one = { method, target: url, headers, body: Buffer.concat(chunks).toString() }
      asked.push(one)
      for (const check of waiting) check()
      reply(response, asked.length, one)
    })
  }).on('connection', () => {
    connections += 1
  })
  const origin = `http://127.0.0.1:${await listen(server)}`
  return {
    origin,
    asked,
    connections: () => connections,
    answer(next) {
      reply = next
    },
    arrived: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (asked.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    [Symbol.asyncDispose]: () => close(server),
  }
}
