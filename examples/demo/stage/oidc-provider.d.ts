/** The part of oidc-provider that the demo and its tests use; the package brings no types. */

declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export interface Client {
    readonly clientId: string
  }

  export interface Grant {
    addResourceScope(resource: string, scope: string): void
    addOIDCScope(scope: string): void
    save(): Promise<string>
  }

  export interface Token {
    resourceServer: object
    expiresIn: number
    save(): Promise<string>
  }

  export interface Context {
    body: unknown
    readonly oidc: {
      readonly provider: Provider
      readonly client: Client
      readonly session: { readonly accountId: string }
      readonly params: {
        readonly [name in 'subject_token' | 'actor_token' | 'audience' | 'resource' | 'scope']?: string
      }
    }
  }

  export class Provider {
    constructor(issuer: string, configuration: object)
    readonly issuer: string
    readonly Grant: new (owner: {
      readonly clientId: string
      readonly accountId: string
    }) => Grant
    readonly AccessToken: new (
      facts: object,
    ) => Token
    readonly RefreshToken: new (
      facts: object,
    ) => Token
    readonly ResourceServer: new (
      identifier: string,
      facts: object,
    ) => object
    readonly Client: { find(clientId: string): Promise<Client | undefined> }
    callback(): RequestListener
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
    registerGrantType(
      name: string,
      handler: (ctx: Context) => Promise<void>,
      parameters: readonly string[],
      repeatable?: readonly string[],
    ): void
  }

  export namespace errors {
    class InvalidRequest extends Error {
      constructor(description: string)
    }
    class InvalidScope extends Error {
      constructor(description: string)
    }
    class InvalidTarget extends Error {}
  }
}
