/** A1 The gate beside others that wrap `emit` of servers, before or after it, and do what they like with `this`. */

import { Server } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import type { Service } from '../support/service.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

type Emit = (this: Server, event: string, ...args: unknown[]) => boolean

let service: Service | undefined
let beforeRequest: ((server: Server) => void) | undefined
afterEach(async () => {
  beforeRequest = undefined
  await service?.[Symbol.asyncDispose]()
  service = undefined
})

// Before there is a gate, which stays for the life of the process.
const previous = Server.prototype.emit as Emit
const emit: Emit = function (event, ...args) {
  if (event === 'request') beforeRequest?.(this)
  return previous.call(this, event, ...args)
}
Server.prototype.emit = emit as never

it.each([
  ['takes all listeners away', (server: Server) => void server.removeAllListeners('request')],
  ['takes the events away', (server: Server) => void Reflect.deleteProperty(Reflect.get(server, '_events'), 'request')],
])('one that %s does so for one emission, and admits no caller [E12]', async (_, before) => {
  let armed = true
  beforeRequest = (server) => {
    // On the stand-in that the gate shows to those who came before it.
    if (armed && Object.getPrototypeOf(server) !== Server.prototype) before(server)
  }
  service = await startService()
  const unanswered = fetch(`http://127.0.0.1:${service.port}/`, { signal: AbortSignal.timeout(300) })
  await expect(unanswered).rejects.toThrow()
  armed = false
  expect(await service.send([])).toMatch(/^HTTP\/1.1 401/)
  expect(await service.send([bearer(tokenOf())])).toMatch(/^HTTP\/1.1 200/)
})

it('one that adds a listener is heard once for each request', async () => {
  let heard = 0
  beforeRequest = (server) => {
    if (Object.getPrototypeOf(server) === Server.prototype) return
    server.on('request', () => {
      heard += 1
    })
  }
  service = await startService()
  for (let request = 1; request <= 3; request += 1) {
    expect(await service.send([bearer(tokenOf())])).toMatch(/^HTTP\/1.1 200/)
    expect(heard).toBe(request)
  }
})
