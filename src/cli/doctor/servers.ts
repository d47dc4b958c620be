/** Asks a server that a program has opened for something without a token, which only a gate answers with 401. */

import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ReportedServer } from './observe.ts'

/** No application has it, and no public path opens it. */
const PATH = '/otel-token-relay-doctor'
const TIMEOUT_MILLIS = 5_000

/** Where a server can be asked from this machine; `undefined` if it does not listen on the loopback interface. */
export function loopbackOf({ host, type }: ReportedServer): string | undefined {
  if (type === 'http2') return undefined
  if (host === '0.0.0.0' || host?.startsWith('127.')) return host === '0.0.0.0' ? '127.0.0.1' : host
  return host === '::' || host === '::1' ? '::1' : undefined
}

/** Whether the server refuses a request without a token by a challenge (RFC 6750 §3); `undefined` without an answer. */
export async function isRefused(server: ReportedServer): Promise<boolean | undefined> {
  const { type, port } = server
  const request = type === 'https' ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const asked = request({
      ...{ host: loopbackOf(server), port, path: PATH, agent: false, timeout: TIMEOUT_MILLIS },
      headers: { connection: 'close' },
      // It is a server of the program that was started here, by an address, and nothing secret is sent.
      rejectUnauthorized: false,
    })
    asked.on('response', (response) => {
      response.resume()
      resolve(response.statusCode === 401 && /^Bearer\b/i.test(response.headers['www-authenticate'] ?? ''))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(undefined))
    asked.on('close', () => resolve(undefined))
    asked.end()
  })
}
