/** Opens every socket without a caller, so that a pooled one does not remember the caller who has opened it. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import type tls from 'node:tls'
import { packageUrl } from '../../base/package-url.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { runWithoutCaller } from '../without-caller.ts'
import { optionsOf, rememberConnect, rememberTls } from './socket-opening.ts'

/** Gets a connection that `tls.connect` has opened, and its options. */
type OnTls = (socket: unknown, options: Readonly<Record<string, unknown>>) => void

type Connect = (this: object, ...args: unknown[]) => unknown

/**
 * Opens every socket in a context without a caller; the trace stays. What a connection pool does in a socket's
 * callbacks (draining its queue, following a redirect, retrying) would otherwise run as the caller who has opened the
 * socket. Code that binds the right caller puts it back. `onTls` gets each TLS connection. Returns how to undo it.
 */
export function openSocketsWithoutCaller(onTls: OnTls): () => void {
  // The namespace object of an ES module is read-only; this one is what Node's own modules call.
  const mutableTls = createRequire(packageUrl)('node:tls') as typeof tls
  const undo = combineUndos([
    patchConnect(net.Socket.prototype, (socket, _, args) => rememberConnect(socket, args)),
    patchConnect(mutableTls, (_, socket, args) => {
      rememberTls(socket, args)
      onTls(socket, optionsOf(args))
    }),
  ])
  syncBuiltinESMExports()
  return () => {
    undo()
    syncBuiltinESMExports()
  }
}

/** Gets `this`, the result and the arguments of each call. */
type Remember = (self: object, result: unknown, args: readonly unknown[]) => void

function patchConnect(owner: object, remember: Remember): () => void {
  return patchMethod<Connect>(
    owner,
    'connect',
    (previous, patch) =>
      function (...args) {
        if (!patch.isActive) return previous.apply(this, args)
        const result = runWithoutCaller(() => previous.apply(this, args))
        remember(this, result, args)
        return result
      },
  )
}
