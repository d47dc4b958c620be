/** Keeps a pooled socket from remembering the caller who happened to open it. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import type tls from 'node:tls'
import { runAsNobody } from '../context/nobody.ts'
import { rememberConnect, rememberTls } from './socket-opening.ts'

type Connect = (this: object, ...args: unknown[]) => unknown

/**
 * Opens every socket in a context without our entry; trace context stays. What a connection pool does in a socket's
 * callbacks (draining its queue, following a redirect, retrying) would otherwise run as the caller who opened the socket:
 * now it runs as nobody, and code that binds the right caller puts it back. Returns how to undo it.
 */
export function guardSockets(): () => void {
  // The namespace object of an ES module is read-only; this one is what Node's own modules call.
  const mutableTls = createRequire(import.meta.url)('node:tls') as typeof tls
  const undoSocket = replace(net.Socket.prototype, (socket, _, args) => rememberConnect(socket, args))
  const undoTls = replace(mutableTls, (_, socket, args) => rememberTls(socket, args))
  syncBuiltinESMExports()
  return () => {
    undoSocket()
    undoTls()
    syncBuiltinESMExports()
  }
}

/** Is told `this`, the result and the arguments of each call. */
type Remember = (self: object, result: unknown, args: readonly unknown[]) => void

function replace(owner: object, remember: Remember): () => void {
  const methods = owner as { connect: Connect }
  const previous = methods.connect
  let active = true
  const connect: Connect = function (...args) {
    if (!active) return previous.apply(this, args)
    const result = runAsNobody(() => previous.apply(this, args))
    remember(this, result, args)
    return result
  }
  methods.connect = connect
  return () => {
    active = false
    if (methods.connect === connect) methods.connect = previous
  }
}
