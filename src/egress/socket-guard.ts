/** Keeps a pooled socket from remembering the caller who happened to open it. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import type tls from 'node:tls'
import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot } from '../context/credential-context.ts'

type Connect = (this: unknown, ...args: unknown[]) => unknown

/**
 * Opens every socket in a context without our entry; trace context stays. What a connection pool does in a socket's
 * callbacks (draining its queue, following a redirect, retrying) would otherwise run as the caller who opened the socket:
 * now it runs as nobody, and code that binds the right caller puts it back. Returns how to undo it.
 */
export function guardSockets(): () => void {
  // The namespace object of an ES module is read-only; this one is what Node's own modules call.
  const mutableTls = createRequire(import.meta.url)('node:tls') as typeof tls
  const undoSocket = replace(net.Socket.prototype, 'connect')
  const undoTls = replace(mutableTls, 'connect')
  syncBuiltinESMExports()
  return () => {
    undoSocket()
    undoTls()
    syncBuiltinESMExports()
  }
}

function replace(owner: object, name: 'connect'): () => void {
  const methods = owner as Record<typeof name, Connect>
  const previous = methods[name]
  let active = true
  const connect: Connect = function (...args) {
    return active ? asNobody(() => previous.apply(this, args)) : previous.apply(this, args)
  }
  methods[name] = connect
  return () => {
    active = false
    if (methods[name] === connect) methods[name] = previous
  }
}

/** Runs `fn` without a caller: work that several callers share must not become that of one of them. */
export function asNobody<T>(fn: () => T): T {
  const active = context.active()
  return getSlot(active) === undefined ? fn() : context.with(deleteCredential(active), fn)
}
