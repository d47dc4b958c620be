/** `--serve`: the traces as a live page on the loopback interface, and a place where curl gets a token. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { close, listen } from './loopback.ts'
import type { Stage } from './stage.ts'
import { groupByTrace, layOutTrace } from './trace-layout.ts'

export interface Page extends AsyncDisposable {
  readonly url: string
}

const MAX_TRACES = 50
/** Says that there will be no other event. */
const END = 'event: end\ndata:\n\n'

/** `titles` has names for traces, by trace id. */
export async function startPage(stage: Stage, titles: ReadonlyMap<string, string>): Promise<Page> {
  const html = readFileSync(join(import.meta.dirname, 'page.html'))
  const policy = policyOf(html.toString())
  const { receiver } = stage

  function traces(): readonly object[] {
    return groupByTrace(receiver?.spans() ?? [])
      .slice(0, MAX_TRACES)
      .map((spans) => ({ ...layOutTrace(spans, stage.names), title: titles.get(spans[0]?.traceId ?? '') }))
  }

  const viewers = new Set<ServerResponse>()

  /** Server-sent events: an empty one whenever there is something new to fetch. */
  function announce(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders()
    const stop = receiver?.onSpans(() => response.write('data:\n\n'))
    viewers.add(response)
    response.once('close', () => {
      viewers.delete(response)
      stop?.()
    })
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page of another origin could have its own host name lead here (DNS rebinding) and then read the token.
    if (request.headers.host !== new URL(url).host) return send(response, 421, 'text/plain', 'unknown host')
    switch (request.url) {
      case '/token':
        return send(response, 200, 'text/plain', await stage.issueToken())
      case '/':
        return send(response, 200, 'text/html; charset=utf-8', html, { 'content-security-policy': policy })
      case '/traces':
        return send(response, 200, 'application/json', JSON.stringify(traces()))
      case '/changes':
        return announce(response)
      default:
        return send(response, 404, 'text/plain', 'not here')
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => send(response, 500, 'text/plain', 'that did not work'))
  })
  const url = await listen(server)
  return {
    url,
    async [Symbol.asyncDispose]() {
      await Promise.all([...viewers].map((viewer) => new Promise<void>((sent) => viewer.end(END, sent))))
      await close(server)
    },
  }
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
  fields: object = {},
): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...fields,
  })
  response.end(body)
}

/** Allows the one script and the one style sheet that stand in `html`, and nothing from anywhere else. */
function policyOf(html: string): string {
  const hash = (element: string): string => {
    const text = new RegExp(`<${element}>(.*?)</${element}>`, 's').exec(html)?.[1] ?? ''
    return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  }
  return [
    "default-src 'none'",
    `script-src ${hash('script')}`,
    `style-src ${hash('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
