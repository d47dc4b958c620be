/** What oidc-provider lacks: the token exchange grant (RFC 8693), for JWTs of its own. */

import type { JSONWebKeySet } from 'jose'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Context, Provider } from 'oidc-provider'
import { errors } from 'oidc-provider'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** A service that tokens may be exchanged for. */
export interface ExchangeTarget {
  readonly scope: string
  readonly audience: string
  readonly accessTokenFormat: 'jwt'
  readonly jwt: { readonly sign: { readonly alg: string } }
}

export interface TokenExchangeOptions {
  /** Public keys of the provider. */
  readonly jwks: JSONWebKeySet
  /** `undefined` for services without tokens. */
  readonly targetOf: (audience: string) => ExchangeTarget | undefined
  /** Called with every token that is issued. */
  readonly onIssued?: (token: string) => void
}

/** Who acts (RFC 8693 §4.1), for the token that is being made. */
interface Actor {
  readonly sub: string
  readonly act?: unknown
}

const actors = new WeakMap<Context, Actor>()

/** For `formats.customizers.jwt` of the configuration. */
export function addActor(ctx: Context | undefined, _token: object, { payload }: { readonly payload: object }): void {
  const act = ctx === undefined ? undefined : actors.get(ctx)
  if (act !== undefined) Object.assign(payload, { act })
}

/** The audience changes, scopes become fewer and never more, and the new token does not outlive the old one. */
export function addTokenExchange(provider: Provider, { jwks, targetOf, onIssued }: TokenExchangeOptions): void {
  const keys = createLocalJWKSet(jwks)

  async function claimsOf(token: string | undefined) {
    const { payload } = await jwtVerify(token ?? '', keys, { issuer: provider.issuer, typ: 'at+jwt' }).catch(() => {
      throw new errors.InvalidRequest('a token is missing or not good')
    })
    return payload
  }

  async function exchange(ctx: Context): Promise<void> {
    const { client, params } = ctx.oidc
    const subject = await claimsOf(params.subject_token)
    const actor = params.actor_token === undefined ? client.clientId : String((await claimsOf(params.actor_token)).sub)
    const target = targetOf(params.audience ?? params.resource ?? '')
    if (target === undefined) throw new errors.InvalidTarget()
    const scope = narrowed(params.scope ?? String(subject['scope'] ?? ''), subject['scope'], target)
    const accountId = String(subject.sub)
    const grant = new provider.Grant({ accountId, clientId: client.clientId })
    grant.addResourceScope(target.audience, scope)
    const token = new provider.AccessToken({
      client,
      accountId,
      scope,
      gty: TOKEN_EXCHANGE,
      grantId: await grant.save(),
    })
    token.resourceServer = new provider.ResourceServer(target.audience, target)
    token.expiresIn = Math.min(300, Number(subject.exp) - Math.floor(Date.now() / 1000))
    actors.set(ctx, { sub: actor, ...(subject['act'] === undefined ? {} : { act: subject['act'] }) })
    const value = await token.save()
    onIssued?.(value)
    ctx.body = {
      access_token: value,
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: token.expiresIn,
      scope,
    }
  }

  const parameters = ['subject', 'actor'].flatMap((name) => [`${name}_token`, `${name}_token_type`])
  provider.registerGrantType(TOKEN_EXCHANGE, exchange, [
    ...parameters,
    'requested_token_type',
    'audience',
    'resource',
    'scope',
  ])
}

function narrowed(asked: string, held: unknown, target: ExchangeTarget): string {
  const [has, offers] = [String(held).split(' '), target.scope.split(' ')]
  const wanted = asked.split(' ').filter((scope) => scope !== '')
  if (wanted.some((scope) => !has.includes(scope))) throw new errors.InvalidScope('more than the subject has')
  return wanted.filter((scope) => offers.includes(scope)).join(' ')
}
