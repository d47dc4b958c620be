/** Gets a token as app and browser would: authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8707). */

import { createHash, randomBytes } from 'node:crypto'

export interface LoginRequest {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
  readonly resource: string
  readonly scope: string
}

interface Metadata {
  readonly authorization_endpoint: string
  readonly token_endpoint: string
}

const MAX_REDIRECTS = 10

/** Logs in without a human, which works because the demo's login page asks nothing. Returns the access token. */
export async function logIn(login: LoginRequest): Promise<string> {
  const metadata = (await getJson(`${login.issuer}/.well-known/openid-configuration`)) as Metadata
  const verifier = randomBytes(32).toString('base64url')
  const code = await authorize(metadata.authorization_endpoint, login, verifier)
  const { access_token: token } = (await getJson(metadata.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: login.clientId,
      redirect_uri: login.redirectUri,
      code,
      code_verifier: verifier,
    }),
  })) as { readonly access_token: string }
  return token
}

/** Follows the provider's redirects, through its login page, back to the app; returns the code that arrives there. */
async function authorize(endpoint: string, login: LoginRequest, verifier: string): Promise<string> {
  const cookies = new Map<string, string>()
  let url = authorizationUrl(endpoint, login, verifier)
  for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
    const response = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies.values()].join('; ') } })
    await response.body?.cancel()
    keepCookies(cookies, response)
    url = new URL(response.headers.get('location') ?? '', url)
    if (url.href.startsWith(login.redirectUri)) return codeOf(url)
  }
  throw new Error('the login does not come to an end')
}

function authorizationUrl(endpoint: string, login: LoginRequest, verifier: string): URL {
  const url = new URL(endpoint)
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: login.clientId,
    redirect_uri: login.redirectUri,
    resource: login.resource,
    scope: login.scope,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  return url
}

/** A jar for one host and one login: name and value are all that counts. */
function keepCookies(cookies: Map<string, string>, response: Response): void {
  for (const line of response.headers.getSetCookie()) {
    const pair = line.split(';', 1)[0] ?? ''
    cookies.set(pair.slice(0, pair.indexOf('=')), pair)
  }
}

function codeOf(url: URL): string {
  const code = url.searchParams.get('code')
  if (code === null) throw new Error(`the login failed: ${url.searchParams.get('error')}`)
  return code
}

async function getJson(url: string, init?: RequestInit): Promise<unknown> {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}`)
  return response.json()
}
