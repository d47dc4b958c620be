/** Keeps servers and consumers from working as the caller in whose request they were started. */

import { ChildProcess } from 'node:child_process'
import { Socket as DatagramSocket } from 'node:dgram'
import type { EventEmitter } from 'node:events'
import net from 'node:net'
import { Worker } from 'node:worker_threads'
import { runAsNobody } from '../context/nobody.ts'

type Method = (this: object, ...args: unknown[]) => unknown

/**
 * Lets servers listen as nobody, so that their connections are nobody's until the gate says otherwise, and hands over
 * messages of datagram sockets, workers and child processes as nobody: an answer may be to anybody's question. Promises
 * and what a request binds itself keep their caller. Returns how to undo it.
 */
export function guardWork(): () => void {
  const undo = [
    replace(net.Server.prototype, 'listen', () => true),
    ...[DatagramSocket.prototype, Worker.prototype, ChildProcess.prototype].map((prototype: EventEmitter) =>
      replace(prototype, 'emit', ([event]) => event === 'message'),
    ),
  ]
  return () => {
    for (const each of undo) each()
  }
}

/** `applies` tells from the arguments whether a call is to be nobody's. */
function replace(owner: object, name: 'emit' | 'listen', applies: (args: readonly unknown[]) => boolean): () => void {
  const methods = owner as Record<typeof name, Method>
  const inherited = !Object.hasOwn(owner, name)
  const previous = methods[name]
  let active = true
  const method: Method = function (...args) {
    const run = (): unknown => previous.apply(this, args)
    return active && applies(args) ? runAsNobody(run) : run()
  }
  Object.defineProperty(owner, name, { value: method, configurable: true, writable: true })
  return () => {
    active = false
    if (methods[name] !== method) return
    if (inherited) Reflect.deleteProperty(owner, name)
    else methods[name] = previous
  }
}
