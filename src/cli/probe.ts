/** Preloaded by `doctor` into the program that it starts: reports the servers it opens, and where its clients call. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { threadId } from 'node:worker_threads'

// It imports nothing of this package: the program must load that as it does without a doctor.

const file = process.env['OTEL_TOKEN_RELAY_DOCTOR_FILE'] ?? ''
// Explanations are for any caller, not for the one whose request makes the call.
const withoutCaller = AsyncLocalStorage.snapshot()

/** What of an `ActiveRelay` is looked at. */
interface Relay {
  readonly version: string
  readonly intercept: unknown
  readonly egressMode: string
  explain(destination: string): unknown
}

/** Where all copies of this package find each other: `mainGlobal`, which is the global object of a preload. */
function shared(name: string): unknown {
  return Reflect.get(globalThis, Symbol.for(`otel-token-relay.${name}`))
}

const activeRelay = (): Relay | undefined => shared('active') as Relay | undefined

function report(entry: object): void {
  try {
    // One write for a line: the processes of a cluster share the file.
    appendFileSync(file, `${JSON.stringify({ pid: process.pid, thread: threadId, ...entry })}\n`)
  } catch {
    // The doctor has gone. The program goes on.
  }
}

/** `open`: with the modes `off` and `report` a relay sees requests, and lets all of them pass. */
function gateOf(relay: Relay | undefined): 'closed' | 'open' | 'none' {
  if (relay?.intercept === undefined) return 'none'
  return shared('gated') === true ? 'closed' : 'open'
}

let lastState = ''

/** The relay may be made, and its gate put up, at any time. */
function reportState(): void {
  const relay = activeRelay()
  const state = {
    kind: 'state',
    relay: relay?.version,
    gate: gateOf(relay),
    egressMode: relay?.egressMode,
    hasAdapter: shared('adapted') === true,
    clients: loadedClients(),
  }
  const text = JSON.stringify(state)
  if (text !== lastState) report(state)
  lastState = text
}

const CLIENTS = /[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/g
const NAMES = ['undici', '@grpc/grpc-js']

/** The copies of clients that have been loaded, with their versions. */
function loadedClients(): readonly string[] {
  const folders = new Set<string>()
  for (const path of Object.keys(createRequire(import.meta.url).cache)) {
    const last = Array.from(path.matchAll(CLIENTS)).at(-1)
    const name = last?.[1]?.replace('\\', '/')
    if (last !== undefined && name !== undefined && NAMES.includes(name)) {
      folders.add(path.slice(0, last.index + last[0].length - 1))
    }
  }
  return [...folders].map(labelOf).toSorted()
}

const labels = new Map<string, string>()

function labelOf(folder: string): string {
  const known = labels.get(folder)
  if (known !== undefined) return known
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>
  const label = `${name} ${version}`
  labels.set(folder, label)
  return label
}

type Address = { readonly address: string; readonly port: number }

/** `http`, `https` or `http2`; `undefined` for servers of other protocols. */
function typeOf(server: object): string | undefined {
  const http = process.getBuiltinModule('node:http')
  const https = process.getBuiltinModule('node:https')
  if (server instanceof https.Server) return 'https'
  if (server instanceof http.Server) return 'http'
  for (let each = server; each !== null; each = Object.getPrototypeOf(each) as object) {
    if (/^Http2(Secure)?Server$/.test(each.constructor?.name ?? '')) return 'http2'
  }
  return undefined
}

function onListen(message: unknown): void {
  const { server } = message as { readonly server: object & { address(): Address | string | null } }
  const type = typeOf(server)
  const address = server.address()
  if (type === undefined || address === null) return
  report({
    kind: 'server',
    type,
    ...(typeof address === 'string' ? { path: true } : { host: address.address, port: address.port }),
  })
  reportState()
}

const calls = new Set<string>()

/** Once for each destination. Only the origin is reported: paths and queries may hold secrets. */
function reportCall(client: string, destination: string): void {
  const key = `${client} ${destination}`
  if (calls.has(key) || calls.size > 200 || !/^[a-z]+:\/\/[\w.:[\]-]+$/.test(destination)) return
  calls.add(key)
  const explanation = withoutCaller(() => {
    try {
      return activeRelay()?.explain(destination)
    } catch {
      return undefined
    }
  })
  report({ kind: 'call', client, destination, explanation })
}

function onHttpRequest(message: unknown): void {
  const { request } = message as { readonly request: { readonly protocol: string; getHeader(name: string): unknown } }
  const host = request.getHeader('host')
  if (typeof host === 'string') reportCall('http', `${request.protocol}//${host}`)
}

function onUndiciRequest(message: unknown): void {
  const { request } = message as { readonly request: { readonly origin?: unknown } }
  reportCall('fetch or undici', String(request.origin))
}

function onStream(message: unknown): void {
  const { headers } = message as { readonly headers?: Readonly<Record<string, unknown>> }
  const fields = headers ?? {}
  const isGrpc = String(fields['content-type'] ?? '').startsWith('application/grpc')
  const scheme = String(fields[':scheme'] ?? 'https')
  reportCall(
    isGrpc ? 'gRPC' : 'http2',
    `${isGrpc ? scheme.replace('http', 'grpc') : scheme}://${String(fields[':authority'])}`,
  )
}

if (file !== '') {
  report({ kind: 'start', node: process.versions.node, folder: dirname(process.argv[1] ?? '') })
  subscribe('tracing:net.server.listen:asyncEnd', onListen)
  subscribe('http.client.request.start', onHttpRequest)
  subscribe('undici:request:create', onUndiciRequest)
  subscribe('http2.client.stream.created', onStream)
  setInterval(reportState, 200).unref()
}
