/** Lets what works for all callers work without a caller, and not as the caller in whose request it was made. */

import childProcess, { ChildProcess } from 'node:child_process'
import { Socket as DatagramSocket } from 'node:dgram'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import process from 'node:process'
import { MessagePort, Worker } from 'node:worker_threads'
import { isObject } from '../../base/own-property.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'
import { bind } from '../bind.ts'
import { hasCaller, runWithoutCaller } from '../without-caller.ts'

type Method = (this: object, ...args: unknown[]) => unknown
type Read = (this: { readonly _handle?: unknown }, size: number) => void

/**
 * Node's handles deliver in the context that they were made in. A child process, a worker, a port, a watcher or a
 * signal that alice's request needs first would go on working as alice, for every caller. So by default they deliver
 * without a caller. The relay wraps the methods of their classes that Node calls, so that it does not matter which
 * function has made a handle. What belongs to one call keeps its caller: promises, timers, the callbacks of `exec` and
 * `execFile`, HTTP messages and their bodies. A table in the tests says which of the two each kind is. Returns how to
 * undo it.
 */
export function detachSharedWork(): Undo {
  const undo = combineUndos([
    runWithoutCallerAt(net.Server.prototype, 'listen'),
    detachReading(),
    ...EMITTERS.map((emitter) => runWithoutCallerAt(emitter, 'emit')),
    detachChildProcesses(),
    // Ports of channels, of workers and of broadcast channels.
    ...[Symbol.for('nodejs.internal.kHybridDispatch'), 'dispatchEvent'].map((name) =>
      runWithoutCallerAt(MessagePort.prototype, name),
    ),
    // Standard output and error of a worker end with it.
    ...findNodeMethods(Worker.prototype, /^kOn/).map((name) => runWithoutCallerAt(Worker.prototype, name)),
    detachWatchers(),
    ...(['exec', 'execFile'] as const).map(keepCallback),
  ])
  syncBuiltinESMExports()
  return () => {
    undo()
    syncBuiltinESMExports()
  }
}

/** The emitters of which all events are for all callers: those of a process are signals and messages, too. */
const EMITTERS: readonly object[] = [process, ChildProcess.prototype, Worker.prototype, DatagramSocket.prototype]

/** The methods that Node itself calls, by names that only Node has. */
function findNodeMethods(prototype: object, description: RegExp): symbol[] {
  return Object.getOwnPropertySymbols(prototype).filter((symbol) => description.test(symbol.description ?? ''))
}

function runWithoutCallerAt(owner: object, name: PropertyKey): Undo {
  return wrapMethod(owner, name, applyWithoutCaller)
}

/** Asks first: there is no caller nearly always, and every read of every socket comes here. */
function applyWithoutCaller(method: Method, self: object, args: unknown[]): unknown {
  return hasCaller() ? applyOutside(method, self, args) : method.apply(self, args)
}

/** On its own: a function with a closure in it makes a scope for it at each call, whether it is reached or not. */
function applyOutside(method: Method, self: object, args: unknown[]): unknown {
  return runWithoutCaller(() => method.apply(self, args))
}

type Around = (previous: Method, self: object, args: unknown[]) => unknown

function wrapMethod(owner: object, name: PropertyKey, around: Around): Undo {
  return patchMethod<Method>(
    owner,
    name,
    (previous, patch) =>
      function (...args) {
        return patch.isActive ? around(previous, this, args) : previous.apply(this, args)
      },
  )
}

/**
 * Every stream over a handle reads with `_read`, and the handle delivers with its `onread`: those of pipes of children,
 * terminals, `new net.Socket({ fd })` and `new tls.TLSSocket(…)`, too.
 */
function detachReading(): Undo {
  const seen = new WeakSet<object>()
  return patchMethod<Read>(
    net.Socket.prototype,
    '_read',
    (previous, patch) =>
      function (size) {
        const handle = this._handle
        if (patch.isActive && isObject(handle) && !seen.has(handle)) {
          seen.add(handle)
          deliverWithoutCaller(handle, 'onread')
        }
        previous.call(this, size)
      },
  )
}

/** Pipes and exit of a child process. */
function detachChildProcesses(): Undo {
  return wrapMethod(ChildProcess.prototype, 'spawn', (previous, self, args) => {
    const handle: unknown = Reflect.get(self, '_handle')
    if (isObject(handle)) deliverWithoutCaller(handle, 'onexit')
    return runWithoutCaller(() => Reflect.apply(previous, self, args) as unknown)
  })
}

function deliverWithoutCaller(handle: object, name: 'onexit' | 'onread'): void {
  const deliver: unknown = Reflect.get(handle, name)
  if (typeof deliver !== 'function') return
  const delivered: Method = function (...args) {
    return applyWithoutCaller(deliver as Method, this, args)
  }
  Reflect.set(handle, name, delivered)
}

/** No module exports the classes of watchers: the relay learns each class from its first watcher. */
function detachWatchers(): Undo {
  const detached = new Map<object, Undo>()
  const undo = (['watch', 'watchFile'] as const).map((name) =>
    wrapMethod(fs, name, (previous, self, args) => {
      const watcher = runWithoutCaller(() => Reflect.apply(previous, self, args) as object)
      const prototype = Object.getPrototypeOf(watcher) as object
      if (!detached.has(prototype)) detached.set(prototype, runWithoutCallerAt(prototype, 'emit'))
      return watcher
    }),
  )
  return () => {
    for (const each of [...undo, ...detached.values()]) each()
  }
}

/** Binds the callback, which is called once, to the caller of `exec`. Other events of the child process are for all. */
function keepCallback(name: 'exec' | 'execFile'): Undo {
  return wrapMethod(childProcess, name, (previous, self, args) => {
    const callback = args.at(-1)
    const bound = typeof callback === 'function' ? [...args.slice(0, -1), bind(callback as Method)] : args
    return Reflect.apply(previous, self, bound) as unknown
  })
}
