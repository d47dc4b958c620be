/** What the demo prints, and how it looks. */

import process from 'node:process'
import { styleText } from 'node:util'
import type { Check } from './check.ts'
import { foreignEndpoint } from './foreign-endpoint.ts'
import type { Page } from './page.ts'
import type { Stage } from './stage.ts'
import type { Part } from './story.ts'
import type { TraceLayout } from './trace-layout.ts'
import { layOutTrace } from './trace-layout.ts'
import type { Paint } from './waterfall.ts'
import { renderWaterfall } from './waterfall.ts'

// `styleText` itself leaves colours out where the output is not a terminal or NO_COLOR is set.
const paint: Paint = (look, text) => styleText(look, text)

const SIGNS = { holds: paint('green', '✓'), fails: paint('red', '✗'), skipped: paint('dim', '–') }

/** As many as the terminal has; 80 are enough. */
const COLUMNS = Math.min(120, Math.max(80, process.stdout.columns ?? 80))

export function printStage({
  issuer,
  userService,
  profileService,
  billingService,
  orderWorker,
  queue,
  thirdParty,
}: Stage): void {
  const rows = [
    ['identity provider', issuer, 'oidc-provider'],
    [userService.name, userService.url, 'Express, CommonJS'],
    [profileService.name, profileService.url, 'Fastify, ES module'],
    [billingService.name, billingService.url, 'node:http, another audience'],
    [orderWorker.name, 'no server', 'consumer of a queue'],
    ['broker', queue.endpoint, 'local-aws-sqs, one queue'],
    ['third party', thirdParty.url, 'not named as a destination'],
  ] as const
  for (const [name, url, remark] of rows) print(`  ${name.padEnd(18)} ${url.padEnd(23)} ${paint('dim', remark)}`)
  print('', '  No service has auth code. Each runs under', '  node --require otel-token-relay/register')
}

export function printPart(part: Part, number: number): void {
  print('', ...wrap(`${number}. ${part.title}`, 3).map((line) => paint('bold', line)))
  for (const { claim, outcome, remark } of part.checks) {
    const [first = '', ...others] = wrap(`   ? ${claim}${remark === '' ? '' : `  (${remark})`}`, 5)
    print(first.replace('?', SIGNS[outcome]), ...others)
  }
  if (part.traceId !== undefined) printForeignTrace(part.traceId)
}

/** `text` in lines that fit the terminal, of which all but the first begin with `indent` spaces. */
function wrap(text: string, indent: number): readonly string[] {
  if (text.length <= COLUMNS) return [text]
  const end = text.lastIndexOf(' ', COLUMNS)
  if (end <= indent) return [text]
  return [text.slice(0, end), ...wrap(' '.repeat(indent) + text.slice(end + 1), indent)]
}

/** Jaeger shows its traces on this port, beside the one that takes them. */
const JAEGER_PORT = 16_686

function printForeignTrace(traceId: string): void {
  const endpoint = foreignEndpoint()
  if (endpoint !== undefined && URL.canParse(endpoint)) {
    print(`   ${paint('dim', `trace: http://${new URL(endpoint).hostname}:${JAEGER_PORT}/trace/${traceId}`)}`)
  }
}

/** The trace of one part, across all processes. */
export function printTrace(stage: Stage, part: Part): void {
  const trace = traceOf(stage, part)
  if (trace === undefined) return
  print('', ...wrap(`Trace: ${part.title}`, 7).map((line) => paint('bold', line)), '')
  for (const line of renderWaterfall(trace, paint, COLUMNS - INDENT)) print(`  ${line}`.trimEnd())
}

const INDENT = 2

/** What the traces do not explain by themselves. */
export function printLegend({ receiver }: Stage): void {
  if (receiver === undefined) return
  const lines = [
    'token: its fingerprint, the same wherever that token goes; it reveals nothing.',
    's: seconds until it expires. by: the service that acts for alice.',
  ]
  print('', ...lines.map((line) => paint('dim', `  ${line}`)))
}

/** `undefined` where the trace is elsewhere. */
export function traceOf({ receiver, names }: Stage, { traceId }: Part): TraceLayout | undefined {
  const spans = receiver?.spans().filter((span) => span.traceId === traceId) ?? []
  return spans.length === 0 ? undefined : layOutTrace(spans, names)
}

/** Returns whether the story is as told. */
export function printVerdict(parts: readonly Part[]): boolean {
  const checks = parts.flatMap((part) => part.checks)
  const count = (outcome: Check['outcome']): number => checks.filter((check) => check.outcome === outcome).length
  const failed = count('fails')
  const told = failed === 0 ? paint('green', 'The story is as told') : paint('red', 'The story is NOT as told')
  const facts = [
    `${count('holds')} checks hold`,
    failed > 0 && `${failed} fail`,
    count('skipped') > 0 && `${count('skipped')} skipped`,
  ]
  print('', `${told}: ${facts.filter((fact) => fact !== false).join(', ')}.`)
  return failed === 0
}

/** `page` shows the trace of `part` first. */
export function printInvitation({ userService, receiver }: Stage, page: Page, part: Part | undefined): void {
  print('', 'Everything keeps running until Ctrl-C. Try:', '')
  print(`  curl -i ${userService.url}/users/42`)
  print(`  AUTH="authorization: Bearer $(curl -s ${page.url}/token)"`)
  for (const path of ['/users/42', '/users/42/invoices', '/users/42/picture', '/users/42/weather']) {
    print(`  curl -s -H "$AUTH" ${userService.url}${path}`)
  }
  const traces =
    receiver === undefined ? `Traces go to ${foreignEndpoint()}` : `Traces: ${page.url}/#${part?.traceId ?? ''}`
  print('', traces)
}

export function print(...lines: readonly string[]): void {
  for (const line of lines) console.log(line)
}
