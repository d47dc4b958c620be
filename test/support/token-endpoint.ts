/** The token endpoint of a test issuer (RFC 6749 §3.2): gives configured answers, and remembers the requests. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Server } from 'node:https'
import { createServer as createSecureServer } from 'node:https'
import type { TlsOptions } from 'node:tls'
import type { JWTHeaderParameters, JWTPayload } from 'jose'
import { decodeJwt } from 'jose'
import type { TestIssuer } from './issuer.ts'
import { close, listen } from './issuer.ts'

/** What was asked, and how the client proved itself. */
export interface TokenQuestion {
  readonly parameters: URLSearchParams
  readonly authorization: string | undefined
  readonly rawHeaders: readonly string[]
  /** Subject of the certificate of the connection. */
  readonly certificate: string | undefined
}

/** What a response is made of: claims of the token, members of the response, or a whole answer. */
export interface TokenAnswer {
  /** `undefined` removes one. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Partial<JWTHeaderParameters>
  readonly members?: Readonly<Record<string, unknown>>
  readonly status?: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Waited for before anything is answered. */
  readonly after?: Promise<unknown>
}

export interface TokenEndpoint {
  readonly url: string
  readonly requests: TokenQuestion[]
  /** Makes the next responses. */
  answer: TokenAnswer | ((question: TokenQuestion) => TokenAnswer | Promise<TokenAnswer>)
  [Symbol.asyncDispose](): Promise<void>
}

/** Over TLS where there is `tls`, with client certificates as it asks for them. */
export async function startTokenEndpoint(issuer: TestIssuer, tls?: TlsOptions): Promise<TokenEndpoint> {
  const requests: TokenQuestion[] = []

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = await questionOf(request)
    requests.push(question)
    const answer = typeof endpoint.answer === 'function' ? await endpoint.answer(question) : endpoint.answer
    await answer.after
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
    response.end(answer.body ?? JSON.stringify(await bodyOf(issuer, question, answer)))
  }

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    respond(request, response).catch(() => response.destroy())
  }
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
  const scheme = tls === undefined ? 'http' : 'https'
  const endpoint: TokenEndpoint = {
    url: `${scheme}://localhost:${await listen(server as Server)}/token`,
    requests,
    answer: {},
    [Symbol.asyncDispose]: () => close(server as Server),
  }
  return endpoint
}

async function questionOf(request: IncomingMessage): Promise<TokenQuestion> {
  let body = ''
  for await (const chunk of request) body += chunk
  const { rawHeaders, socket } = request
  const peer = 'getPeerCertificate' in socket ? (socket.getPeerCertificate as () => PeerCertificate)() : undefined
  const parameters = new URLSearchParams(body)
  return { parameters, authorization: request.headers.authorization, rawHeaders, certificate: peer?.subject?.CN }
}

interface PeerCertificate {
  readonly subject?: { readonly CN: string }
}

/** What a server does that gives what it is asked for. */
async function bodyOf(issuer: TestIssuer, { parameters }: TokenQuestion, { claims, header, members }: TokenAnswer) {
  const presented = parameters.get('subject_token') ?? parameters.get('assertion')
  const subject: JWTPayload = presented?.startsWith('ey') ? decodeJwt(presented) : {}
  const isExchange = parameters.get('grant_type')?.endsWith(':token-exchange')
  const token = await issuer.token(
    {
      exp: Math.floor(Date.now() / 1000) + 300,
      aud: parameters.get('audience') ?? parameters.get('resource') ?? 'user-service',
      sub: subject.sub ?? 'service',
      scope: parameters.get('scope') ?? subject['scope'],
      ...claims,
    } as JWTPayload,
    header,
  )
  const type = isExchange ? { issued_token_type: parameters.get('requested_token_type') } : {}
  return { access_token: token, token_type: 'Bearer', expires_in: 300, ...type, ...members }
}
