/** What zod checks the options of token exchange against. */

import * as z from 'zod'
import type { ExchangeRule } from './destination/rules.ts'
import { unusableFile } from './exchange/client-authentication.ts'
import type { ClientSettings } from './exchange/settings.ts'
import type { SharedTokenCache } from './exchange/shared-cache.ts'
import { group, list, millis, secureUrl, text } from './options-parts.ts'
import { own } from './token/own.ts'

const METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
] as const
const seconds = (fallback: number, min: number) =>
  z.number(`expected seconds, at least ${min}`).min(min, `expected seconds, at least ${min}`).default(fallback)
const file = text('expected the path of a file').optional()

/** The members that a client authentication cannot do without; of several in a row one is enough. */
const NEEDED: Readonly<Record<(typeof METHODS)[number], readonly (readonly string[])[]>> = {
  client_secret_basic: [['clientSecret', 'clientSecretFile']],
  client_secret_post: [['clientSecret', 'clientSecretFile']],
  private_key_jwt: [['privateKeyFile']],
  tls_client_auth: [['certificateFile'], ['certificateKeyFile']],
  self_signed_tls_client_auth: [['certificateFile'], ['certificateKeyFile']],
}

/** What is of no use but for one way to prove oneself. A certificate may come with any. */
const PROOFS = ['clientSecret', 'clientSecretFile', 'privateKeyFile']

export const exchangeSchema = group({
  tokenEndpoint: secureUrl('expected an https URL, or http on the loopback interface').optional(),
  clientId: text('required: what this service is called at the issuer'),
  clientAuthentication: z.enum(METHODS, `expected one of ${METHODS.join(', ')}`).default('client_secret_basic'),
  clientSecret: text('expected the secret of the client').optional(),
  clientSecretFile: file,
  privateKeyFile: file,
  keyId: text('expected the kid of the key').optional(),
  certificateFile: file,
  certificateKeyFile: file,
  caFile: file,
  grant: z.enum(['token_exchange', 'jwt_bearer'], 'expected token_exchange or jwt_bearer').default('token_exchange'),
  actor: z.boolean('expected true or false').default(false),
  subjectClaim: text('expected a claim name').default('sub'),
  timeoutMillis: millis(5_000),
  renewBeforeSeconds: seconds(30, 0),
  maxLifetimeSeconds: seconds(86_400, 1),
  maxEntries: z
    .int('expected 1 to 1000000 entries')
    .min(1, 'expected 1 to 1000000 entries')
    .max(1_000_000, 'expected 1 to 1000000 entries')
    .default(10_000),
  sharedCache: z.custom<SharedTokenCache>(isSharedCache, 'expected a shared cache of tokens').optional(),
})
  .superRefine((options, check) => {
    const given = (name: string): boolean => own(options, name) !== undefined
    const refuse = (name: string, message: string): void => check.addIssue({ code: 'custom', path: [name], message })
    for (const names of NEEDED[options.clientAuthentication]) {
      if (!names.some(given)) refuse(names[0] ?? '', `required with ${options.clientAuthentication}`)
    }
    for (const name of PROOFS) {
      const isMeant = NEEDED[options.clientAuthentication].some((names) => names.includes(name))
      if (given(name) && !isMeant) refuse(name, `is not used with ${options.clientAuthentication}`)
    }
    if (given('clientSecret') && given('clientSecretFile')) refuse('clientSecret', 'contradicts clientSecretFile')
    if (given('certificateFile') !== given('certificateKeyFile')) {
      refuse(given('certificateFile') ? 'certificateKeyFile' : 'certificateFile', 'certificate and key go together')
    }
    if (options.actor && options.grant === 'jwt_bearer') refuse('actor', 'is for the grant token_exchange only')
  })
  .transform(({ renewBeforeSeconds, maxLifetimeSeconds, ...options }, check): ClientSettings => {
    const optional = (name: string): string | undefined => own(options, name) as string | undefined
    const settings: ClientSettings = {
      ...options,
      tokenEndpoint: optional('tokenEndpoint'),
      clientSecret: optional('clientSecret'),
      clientSecretFile: optional('clientSecretFile'),
      privateKeyFile: optional('privateKeyFile'),
      keyId: optional('keyId'),
      certificateFile: optional('certificateFile'),
      certificateKeyFile: optional('certificateKeyFile'),
      caFile: optional('caFile'),
      sharedCache: own(options, 'sharedCache') as SharedTokenCache | undefined,
      renewBeforeMillis: renewBeforeSeconds * 1000,
      maxLifetimeMillis: maxLifetimeSeconds * 1000,
    }
    const unusable = unusableFile(settings)
    if (unusable !== undefined) check.addIssue({ code: 'custom', path: [unusable], message: UNUSABLE })
    return settings
  })

function isSharedCache(value: unknown): boolean {
  const { find, keep, release } = (value ?? {}) as Partial<SharedTokenCache>
  return typeof value === 'object' && [find, keep, release].every((method) => typeof method === 'function')
}

const UNUSABLE = 'a file is missing, or does not hold what is expected'
const NAMES = 'expected a name or a list of names'
export const names = z.union([text(NAMES).transform((name) => [name]), list(text(NAMES), NAMES)], NAMES).default([])
const SCOPE = 'expected scopes, as a list or separated by spaces'
const scopeToken = text(SCOPE).regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, SCOPE)
export const scopes = z
  .union(
    [text(SCOPE).transform((value) => value.split(' ').filter((name) => name !== '')), list(scopeToken, SCOPE)],
    SCOPE,
  )
  .pipe(z.array(scopeToken, SCOPE))
  .default([])

export const exchangeRuleSchema = group({
  audience: names,
  resource: names.pipe(z.array(z.string().refine((uri) => URL.canParse(uri), 'expected absolute URIs'))),
  scope: scopes,
  tokenType: z.enum(['access_token', 'jwt'], 'expected access_token or jwt').default('access_token'),
  prepare: z.enum(['call', 'ingress'], 'expected call or ingress').default('call'),
  onFailure: z.enum(['withhold', 'forward'], 'expected withhold or forward').default('withhold'),
})
  .refine(({ audience, resource, scope }) => audience.length + resource.length + scope.length > 0, {
    path: ['audience'],
    message: 'required: audience, resource or scope says what the token is for',
  })
  .transform(
    ({ audience, resource, scope, tokenType, prepare, onFailure }): ExchangeRule => ({
      request: { audience, resource, scope, tokenType },
      prepare,
      onFailure,
    }),
  )
