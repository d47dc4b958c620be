/** The token endpoint of a test issuer (RFC 6749 §3.2): answers what it is told to, and remembers what it was asked. */

import { createServer } from 'node:http'
import type { JWTPayload } from 'jose'
import { decodeJwt } from 'jose'
import type { TestIssuer } from './issuer.ts'
import { close, listen } from './issuer.ts'

export interface TokenEndpoint {
  readonly url: string
  readonly requests: readonly { readonly parameters: URLSearchParams; readonly authorization: string | undefined }[]
  /** What the next responses are made of: claims of the token, members of the response, or a whole answer. */
  answer: {
    claims?: JWTPayload
    members?: Readonly<Record<string, unknown>>
    status?: number
    body?: string
    contentType?: string
  }
  [Symbol.asyncDispose](): Promise<void>
}

export async function startTokenEndpoint(issuer: TestIssuer): Promise<TokenEndpoint> {
  const requests: { parameters: URLSearchParams; authorization: string | undefined }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const parameters = new URLSearchParams(body)
    requests.push({ parameters, authorization: request.headers.authorization })
    const { claims, members, status = 200, contentType = 'application/json', body: whole } = endpoint.answer
    const subject = decodeJwt(parameters.get('subject_token') ?? parameters.get('assertion') ?? 'e30.e30.') as JWTPayload
    const audience = parameters.get('audience') ?? parameters.get('resource') ?? 'user-service'
    const token = await issuer.token({
      aud: audience,
      sub: subject.sub ?? 'service',
      scope: parameters.get('scope') ?? (subject['scope'] as string | undefined),
      ...claims,
    })
    response.writeHead(status, { 'content-type': contentType })
    response.end(whole ?? JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 300, ...members }))
  })
  const endpoint: TokenEndpoint = {
    url: `http://127.0.0.1:${await listen(server)}/token`,
    requests,
    answer: {},
    [Symbol.asyncDispose]: () => close(server),
  }
  return endpoint
}
