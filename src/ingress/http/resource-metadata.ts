/** What this service says about itself to clients that have no token yet (RFC 9728). */

import type { Answer } from '../../token/challenge.ts'

export interface ProtectedResource {
  readonly resource: string
  readonly scopesSupported: readonly string[] | undefined
  readonly authorizationServers: readonly string[]
  /** The field of the token: RFC 9728 has a word for `Authorization` only. */
  readonly header: string
}

export interface ResourceMetadata {
  /** Where it can be read; named in every challenge (RFC 9728 §5.1). */
  readonly url: string
  /** The answer to a request for it; `undefined` for any other request. */
  answerTo(method: string, target: string): Answer | undefined
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

export function createResourceMetadata(described: ProtectedResource): ResourceMetadata {
  const { resource, scopesSupported, authorizationServers } = described
  const { origin, pathname } = new URL(resource)
  // Between host and path, as RFC 9728 §3.1 inserts it.
  const path = WELL_KNOWN + (pathname === '/' ? '' : pathname)
  const body = JSON.stringify({
    resource,
    ...(authorizationServers.length === 0 ? {} : { authorization_servers: authorizationServers }),
    ...(scopesSupported === undefined ? {} : { scopes_supported: scopesSupported }),
    ...(described.header === 'authorization' ? { bearer_methods_supported: ['header'] } : {}),
  })
  const answer: Answer = {
    status: 200,
    reason: 'OK',
    headers: {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'public, max-age=3600',
      // Clients in browsers look for it, too, and nothing in it is secret.
      'access-control-allow-origin': '*',
    },
    body,
  }
  const isTarget = (target: string): boolean => target === path || target.startsWith(`${path}?`)
  return {
    url: origin + path,
    answerTo: (method, target) => ((method === 'GET' || method === 'HEAD') && isTarget(target) ? answer : undefined),
  }
}
