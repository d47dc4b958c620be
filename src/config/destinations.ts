/** The options `destinations`: where callers' tokens may go, and how. */

import * as v from 'valibot'
import type { Refuse } from '../base/schema.ts'
import { check, transform } from '../base/schema.ts'
import type { Pattern } from '../destination/pattern.ts'
import { isCleartext, isWorker, PatternError, parsePattern } from '../destination/pattern.ts'
import type { ExchangeRule, Rule } from '../destination/rules.ts'
import { keyOf } from '../destination/rules.ts'
import { aBoolean, group, names, oneOf, refuseRepeats, scopes, text, variable, whole } from './parts.ts'

/** A place to which callers' tokens may go. */
export interface DestinationOptions {
  /**
   * `scheme://host[:port]` (`https`, `http`, `grpcs`, `grpc`), or `system:name` (`kafka`, `rabbitmq`, `bullmq`, `nats`,
   * `aws_sqs`, `aws_sns`, `mqtt`, `worker`). One `*` may stand for one whole leading host label, or end the name of a
   * queue. `rabbitmq:orders` is the exchange and the queue of that name, `rabbitmq:exchanges/orders` and
   * `rabbitmq:queues/orders` are one of them.
   */
  readonly to: string
  /**
   * Accepts `http` and `grpc` on hosts other than the loopback interface: tokens can be read on the way. The variable
   * sets it for every destination. Default false.
   */
  readonly allowCleartext?: boolean
  /**
   * Messaging only. `true` seals the token with the first key of `sealing.keys`, and withholds it if there is none. The
   * `kid` of another key seals with that key. `false` leaves the token in the broker in clear text, readable by
   * everyone who can read the queue, and accepts such tokens from there; a `worker:` cannot have `false`. Default: true
   * for messaging destinations.
   */
  readonly seal?: boolean | string
  /**
   * For work that goes on after the caller's request has ended: after `close` of its response, stream or upgraded
   * socket, or after `response.end()`. `withhold` sends no token, `allow` sends it until it expires. A client that
   * closes its side ends the request too, unless the server allows half-open connections (`httpAllowHalfOpen`). Default
   * `withhold`.
   */
  readonly detached?: 'withhold' | 'allow'
  /**
   * Largest header section that the destination reads, in bytes, 256 to 1048576. A token that would make it larger is
   * withheld, because the answer would be 431. Fields that are added after the request was made are not counted.
   * Default 16384, the limit of Node.js.
   */
  readonly maxHeaderBytes?: number
  /**
   * Another token in place of the caller's. Needs `exchange` of an issuer. Default: the caller's own token is
   * forwarded.
   */
  readonly exchange?: DestinationExchangeOptions
  /** Messaging only: how messages from there are handled. Default: only with a good token. */
  readonly consume?: DestinationConsumeOptions
}

/**
 * The token that a destination gets in place of the caller's. At least one of `audience`, `resource` and `scope` is
 * required: it says what the token is for.
 */
export interface DestinationExchangeOptions {
  /**
   * `audience` of the request (RFC 8693 §2.1): the names of the destination at the issuer, one or several. Default:
   * none.
   */
  readonly audience?: string | readonly string[]
  /** `resource` of the request (RFC 8707 §2): absolute URIs of the destination, one or several. Default: none. */
  readonly resource?: string | readonly string[]
  /**
   * What the token may allow, as a list or separated by spaces; a token that allows more is refused. Default: what the
   * caller's token allows.
   */
  readonly scope?: string | readonly string[]
  /** The requested token type: `access_token` or `jwt` (RFC 8693 §3). Default `access_token`. */
  readonly tokenType?: 'access_token' | 'jwt'
  /**
   * When the token is requested. `call`: with the first call that needs it, which waits for it. `ingress`: before a
   * request is handled. Clients over `node:http`, `node:http2` and gRPC cannot wait: use `ingress`, or call
   * `relay.prepare`. Default `call`.
   */
  readonly prepare?: 'call' | 'ingress'
  /** If the exchange fails, `withhold` sends no token and `forward` sends the caller's own. Default `withhold`. */
  readonly onFailure?: 'withhold' | 'forward'
}

/** What happens to messages whose token is no longer good, or missing. */
export interface DestinationConsumeOptions {
  /**
   * For a token that was good when it was sealed, and has expired or was revoked since. `reject` does not handle the
   * message; `exchange` gets a fresh token for the same subject, unless the token was revoked; `workload` handles it as
   * this service itself. The last two need `exchange` of the issuer, and a secret among `sealing.keys`: anyone who has
   * a public key could seal an old token. Default `reject`.
   */
  readonly onExpired?: 'reject' | 'exchange' | 'workload'
  /**
   * For a message without a token: `reject` does not handle it, `no-caller` handles it without a caller. Default
   * `reject`.
   */
  readonly onMissing?: 'reject' | 'no-caller'
}

const URIS = 'expected absolute URIs'
const exchangeRuleSchema = v.pipe(
  group({
    audience: names(),
    resource: v.pipe(
      names(),
      v.array(
        v.pipe(
          text(URIS),
          v.check((uri) => URL.canParse(uri), URIS),
        ),
        URIS,
      ),
    ),
    scope: scopes(),
    tokenType: v.optional(oneOf('access_token', 'jwt'), 'access_token'),
    prepare: v.optional(oneOf('call', 'ingress'), 'call'),
    onFailure: v.optional(oneOf('withhold', 'forward'), 'withhold'),
  }),
  v.forward(
    v.check(
      ({ audience, resource, scope }) => audience.length + resource.length + scope.length > 0,
      'required: audience, resource or scope says what the token is for',
    ),
    ['audience'],
  ),
  v.transform(
    ({ audience, resource, scope, tokenType, prepare, onFailure }): ExchangeRule => ({
      request: { audience, resource, scope, tokenType },
      prepare,
      onFailure,
    }),
  ),
)

const consumeSchema = group({
  onExpired: v.optional(oneOf('reject', 'exchange', 'workload'), 'reject'),
  onMissing: v.optional(
    v.picklist(['reject', 'no-caller'], ({ input }) =>
      input === 'nobody' ? 'this value is called no-caller now' : 'expected reject or no-caller',
    ),
    'reject',
  ),
})

const SEAL = 'expected true, false, or the kid of a sealing key'
const destinationMembers = group({
  to: text('required: scheme://host[:port] or system:name'),
  allowCleartext: v.pipe(
    v.optional(aBoolean(), false),
    variable('TOKEN_RELAY_DESTINATIONS_ALLOW_CLEARTEXT', 'boolean'),
  ),
  seal: v.optional(v.union([v.boolean(SEAL), text(SEAL)], SEAL)),
  detached: v.optional(oneOf('withhold', 'allow'), 'withhold'),
  maxHeaderBytes: v.optional(whole(256, 1_048_576, 'bytes'), 16_384),
  exchange: v.optional(exchangeRuleSchema),
  consume: v.optional(consumeSchema),
})
type Destination = v.InferOutput<typeof destinationMembers>

export const destinationsSchema = v.pipe(
  v.optional(v.array(v.pipe(destinationMembers, transform(compileRule)), 'expected a list of destinations'), []),
  check((rules, refuse) => refuseRepeats(rules.map(identityOf), 'to', refuse)),
  variable('TOKEN_RELAY_DESTINATIONS', 'destinations'),
)

function compileRule(described: Destination, refuse: Refuse, NEVER: never): Rule {
  const pattern = parsedPattern(described.to)
  if (typeof pattern === 'string') {
    refuse(['to'], pattern)
    return NEVER
  }
  const problem = problemOf(described, pattern)
  if (problem !== undefined) refuse([problem.path], problem.message)
  const { to, seal, detached, maxHeaderBytes, exchange, consume } = described
  return {
    to,
    pattern,
    seal: pattern.kind === 'messaging' && (seal ?? true),
    detached,
    maxHeaderBytes,
    exchange,
    consume: consume ?? { onExpired: 'reject', onMissing: 'reject' },
  }
}

function parsedPattern(to: string): Pattern | string {
  try {
    return parsePattern(to)
  } catch (error) {
    return error instanceof PatternError ? error.message : 'not a destination'
  }
}

interface Problem {
  readonly path: string
  readonly message: string
}

function problemOf({ allowCleartext, seal, consume }: Destination, pattern: Pattern): Problem | undefined {
  if (isCleartext(pattern) && !allowCleartext) {
    const message = 'clear text is accepted only on the loopback interface; for other hosts set allowCleartext: true'
    return { path: 'to', message }
  }
  const isOnlyFor = (kind: string, given: Readonly<Record<string, unknown>>): Problem | undefined => {
    const path = Object.keys(given).find((name) => given[name] !== undefined)
    return path === undefined ? undefined : { path, message: `is for ${kind}` }
  }
  if (pattern.kind === 'network') return isOnlyFor('messaging destinations only', { seal, consume })
  if (!isWorker(pattern)) return undefined
  return isOnlyFor('brokers only: a worker gets sealed tokens', { seal: seal === false || undefined, consume })
}

function identityOf({ pattern }: Rule): string {
  return `${pattern.wildcard ? '*' : ''}${keyOf(pattern)}`
}
