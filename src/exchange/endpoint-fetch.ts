/** The HTTP request to a token endpoint: bounded in time and bytes, not traced, and without a caller's token. */

import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as httpRequest } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { readBounded } from '../base/bounded-body.ts'
import { suppressTracing } from '../telemetry/suppression.ts'

const MAX_RESPONSE_BYTES = 262_144
const MAX_SOCKETS = 32

export type EndpointFetch = (url: string, init: RequestInit) => Promise<Response>

/** Uses `node:https`, which takes a client certificate without another HTTP client. */
export function createEndpointFetch(tls: () => SecureContextOptions): EndpointFetch {
  let known: { readonly tls: SecureContextOptions; readonly agent: Agent } | undefined

  function agentFor(material: SecureContextOptions): Agent {
    if (known?.tls === material) return known.agent
    if (known !== undefined) retire(known.agent)
    const agent = new Agent({ ...material, keepAlive: true, maxSockets: MAX_SOCKETS })
    known = { tls: material, agent }
    return agent
  }

  return (url, init) => {
    const target = new URL(url)
    const options = target.protocol === 'https:' ? { agent: agentFor(tls()) } : {}
    return context.with(suppressTracing(ROOT_CONTEXT), () => exchangeMessages(target, init, options))
  }
}

/** Closes connections that were opened with the old certificate; those in use close after their requests. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const socket of Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])) socket.destroy()
}

async function exchangeMessages(target: URL, init: RequestInit, options: RequestOptions): Promise<Response> {
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest
  const body = String(init.body ?? '')
  const headers = { ...Object.fromEntries(new Headers(init.headers)), 'content-length': Buffer.byteLength(body) }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const signal = init.signal ?? undefined
  const request = send(target, {
    ...options,
    method: init.method ?? 'POST',
    headers,
    ...(signal === undefined ? {} : { signal }),
  })
  request.once('response', resolve).on('error', reject).end(body)
  const response = await promise
  const text = await readText(response)
  const type = response.headers['content-type']
  // Redirects are not followed.
  return new Response(text === '' ? null : text, {
    status: response.statusCode ?? 502,
    headers: type === undefined ? {} : { 'content-type': type },
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  const bytes = await readBounded(response, MAX_RESPONSE_BYTES)
  if (bytes === undefined) throw new Error('the response is too large')
  return bytes.toString()
}
