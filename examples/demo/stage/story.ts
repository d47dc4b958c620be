/** The story: what happens to good tokens and to bad ones, told part by part and checked as it is told. */

import { setTimeout } from 'node:timers/promises'
import { APP_NAME } from './app.ts'
import { tokenHistory } from './auth-event.ts'
import { expiredToken, forge } from './bad-tokens.ts'
import type { Check } from './check.ts'
import { check, skipped } from './check.ts'
import { BILLING_SCOPE, OTHER_API, USER } from './identity-provider.ts'
import { QUEUE } from './queue.ts'
import type { Span } from './span.ts'
import type { Stage } from './stage.ts'
import { holdsToken } from './token-search.ts'

export interface Part {
  readonly title: string
  /** The trace of its one call; the last part makes none. */
  readonly traceId: string | undefined
  readonly checks: readonly Check[]
}

/** The part in whose trace a token is exchanged. */
export const EXCHANGE = 'profile-service asks billing-service, which takes no tokens but its own'
/** The part in whose trace a token waits in a queue. */
export const ORDER = 'user-service puts an order into a queue, and order-worker works on it'
/** The part in whose trace a token is verified, forwarded and withheld. */
export const REDIRECT = 'profile-service redirects user-service to a third party'

export async function* playStory(stage: Stage): AsyncGenerator<Part> {
  const token = await stage.issueToken()
  yield goodCall(stage, token)
  yield refusal(stage, 'No token', undefined, 'ERR_TOKEN_MISSING')
  yield refusal(stage, 'A token that has expired', await expiredToken(stage), 'ERR_TOKEN_EXPIRED')
  yield refusal(stage, 'A token for another API', await stage.issueToken({ resource: OTHER_API }), 'ERR_TOKEN_AUDIENCE')
  yield refusal(stage, 'A token with another name written in', forge(token), 'ERR_TOKEN_SIGNATURE')
  yield exchange(stage, token)
  yield order(stage, token)
  yield redirect(stage, token)
  yield directCall(stage, token)
  yield nothingWrittenDown(stage)
}

async function goodCall(stage: Stage, token: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42', token)
  return {
    title: `${USER} asks user-service, which asks profile-service`,
    traceId,
    checks: [
      check('answered 200', status, 200),
      check(`user-service saw ${USER}`, body.caller, USER),
      check(`profile-service saw ${USER}`, body.profile?.caller, USER),
      ...(await checkTrace(stage, traceId, {
        'user-service': `verified, forwarded (rule ${stage.profileService.url})`,
        'profile-service': 'verified',
      })),
    ],
  }
}

/** The gate of user-service answers, and nothing behind it runs. */
async function refusal(stage: Stage, title: string, token: string | undefined, code: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42', token)
  return {
    title,
    traceId,
    checks: [
      check('answered 401', status, 401),
      check('the handler of user-service did not run', 'profile' in body, false),
      ...(await checkTrace(stage, traceId, {
        'user-service': `rejected (${code})`,
        'profile-service': 'not called',
      })),
    ],
  }
}

/** billing-service takes tokens for itself only: profile-service gets one there, for this caller, that allows less. */
async function exchange(stage: Stage, token: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42/invoices', token)
  const { caller, actor, scopes } = body.profile?.billing ?? {}
  return {
    title: EXCHANGE,
    traceId,
    checks: [
      check('answered 200', status, 200),
      check(`billing-service saw ${USER}, for whom profile-service acts`, [caller, actor], [USER, 'profile-service']),
      check('its token allows no more than was asked for', scopes, [BILLING_SCOPE]),
      ...(await checkTrace(stage, traceId, {
        'user-service': `verified, forwarded (rule ${stage.profileService.url})`,
        'profile-service': `verified, exchanged, forwarded (rule ${stage.billingService.url})`,
        'billing-service': 'verified',
      })),
    ],
  }
}

/** The token waits in the queue, where the broker cannot read it, and goes on with the worker that takes the order out. */
async function order(stage: Stage, token: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42/orders', token, 'POST')
  const worked = `order-worker works as ${USER}; profile-service saw ${USER}`
  const { orderWorker, queue, issuedTokens } = stage
  await untilIncludes(orderWorker.output, worked)
  const readable = queue.messages.some((message) => holdsToken(message, issuedTokens))
  return {
    title: ORDER,
    traceId,
    checks: [
      check('answered 202', status, 202),
      check(`user-service saw ${USER}`, body.caller, USER),
      check(`order-worker worked as ${USER}, and so did profile-service for it`, orderWorker.output.at(-1), worked),
      check('the broker cannot read the token', [queue.messages.length, readable], [1, false]),
      ...(await checkTrace(stage, traceId, {
        'user-service': `verified, sealed (rule aws_sqs:${QUEUE}), withheld (not_named)`,
        'order-worker': `opened, verified, forwarded (rule ${stage.profileService.url})`,
        'profile-service': 'verified',
      })),
    ],
  }
}

const PATIENCE_MILLIS = 30_000

async function untilIncludes(lines: readonly string[], line: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MILLIS
  while (!lines.includes(line) && performance.now() < deadline) await setTimeout(20)
}

/** profile-service answers with a redirect, and the fetch of user-service follows it to another host. */
async function redirect(stage: Stage, token: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42/picture', token)
  return {
    title: REDIRECT,
    traceId,
    checks: [
      check('answered 200', status, 200),
      check(`user-service saw ${USER}`, body.caller, USER),
      checkThirdParty(stage, '/pictures/42'),
      ...(await checkTrace(stage, traceId, {
        'user-service': `verified, forwarded (rule ${stage.profileService.url}), withheld (not_named)`,
        'profile-service': 'verified',
      })),
    ],
  }
}

async function directCall(stage: Stage, token: string): Promise<Part> {
  const { status, body, traceId } = await call(stage, '/users/42/weather', token)
  return {
    title: 'user-service asks the third party itself',
    traceId,
    checks: [
      check('answered 200', status, 200),
      check(`user-service saw ${USER}`, body.caller, USER),
      checkThirdParty(stage, '/weather'),
      ...(await checkTrace(stage, traceId, {
        'user-service': 'verified, withheld (not_named)',
        'profile-service': 'not called',
      })),
    ],
  }
}

async function nothingWrittenDown(stage: Stage): Promise<Part> {
  const { receiver, userService, profileService, billingService, orderWorker, issuedTokens } = stage
  const bodies = receiver?.bodies ?? []
  const lines = [userService, profileService, billingService, orderWorker].flatMap(({ output }) => output)
  const printed = { lines: lines.length > 0, token: lines.some((line) => holdsToken(line, issuedTokens)) }
  const exported = { bodies: bodies.length > 0, token: bodies.some((body) => holdsToken(body, issuedTokens)) }
  const claim = 'no token in anything that the services exported'
  return {
    title: 'No token was written down',
    traceId: undefined,
    checks: [
      check('no token in anything that the services printed', printed, { lines: true, token: false }),
      receiver === undefined ? skipped(claim, ELSEWHERE) : check(claim, exported, { bodies: true, token: false }),
    ],
  }
}

interface Call {
  readonly status: number
  readonly body: { readonly caller?: string; readonly profile?: Profile }
  readonly traceId: string
}

interface Profile {
  readonly caller?: string
  readonly billing?: { readonly caller?: string; readonly actor?: string; readonly scopes?: readonly string[] }
}

/** The app calls user-service, in a new trace. */
async function call(stage: Stage, path: string, token: string | undefined, method = 'GET'): Promise<Call> {
  return (await stage.app.call(stage.userService.url + path, { method, token })) as Call
}

function checkThirdParty({ thirdParty, issuedTokens }: Stage, path: string): Check {
  const requests = thirdParty.requests.filter((request) => request.path === path)
  const withToken = requests.filter(({ rawHeaders }) => holdsToken(rawHeaders.join('\n'), issuedTokens))
  const seen = { requests: requests.length, withToken: withToken.length }
  return check('the third party was asked once, and got no token', seen, { requests: 1, withToken: 0 })
}

const ELSEWHERE = 'the traces went elsewhere'
const TRACE_MILLIS = 30_000

/** `expected` says for each service what happened to tokens there, in the words of {@link tokenHistory}. */
async function checkTrace(stage: Stage, traceId: string, expected: Record<string, string>): Promise<Check[]> {
  const claims = Object.entries(expected).map(([service, history]) => ({
    claim: `traced in ${service}: ${history}`,
    service,
    history,
  }))
  const { receiver, profileService, billingService } = stage
  if (receiver === undefined) return claims.map(({ claim }) => skipped(claim, ELSEWHERE))

  const called = claims.filter(({ history }) => history !== 'not called').map(({ service }) => service)
  const own = (spans: readonly Span[]): Span[] => spans.filter((span) => span.traceId === traceId)
  await receiver
    .waitFor((spans) => isComplete(own(spans), [profileService.url, billingService.url], called), TRACE_MILLIS)
    .catch(() => undefined)
  const spans = own(receiver.spans())
  return claims.map(({ claim, service, history }) => check(claim, tokenHistory(spans, service), history))
}

/**
 * A server or consumer span ends last in its process, and that of the app last of all; client spans say whether the
 * services behind them have something to tell.
 */
function isComplete(spans: readonly Span[], urls: readonly string[], called: readonly string[]): boolean {
  const calls = spans.filter(
    ({ kind, attributes }) =>
      kind === 'client' && urls.some((url) => String(attributes['url.full']).startsWith(`${url}/`)),
  )
  const answered = (call: Span): boolean => spans.some((span) => span.parentSpanId === call.spanId)
  const hasEnded = (service: string): boolean =>
    spans.some((span) => span.service === service && (span.kind === 'server' || span.kind === 'consumer'))
  const hasRoot = spans.some(({ service, parentSpanId }) => service === APP_NAME && parentSpanId === undefined)
  return hasRoot && called.every(hasEnded) && calls.every(answered)
}
