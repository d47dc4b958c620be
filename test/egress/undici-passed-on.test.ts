/** A dispatcher of the application passes on what it got: to two clients, to another one, or with another handler. */

import { createServer } from 'node:http'
import * as undici8 from 'undici'
import * as undici6 from 'undici-6'
import * as undici7 from 'undici-7'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'

type Undici = typeof undici8
type PassOn = (...given: Parameters<undici8.Dispatcher['dispatch']>) => boolean
const COPIES: readonly [string, Undici][] = [
  ['6', undici6 as unknown as Undici],
  ['7', undici7 as unknown as Undici],
  ['8', undici8],
]

let callers: Callers
beforeAll(async () => {
  callers = await startCallers()
})
afterAll(() => callers[Symbol.asyncDispose]())
afterEach(() => void callers.arrivals())

describe.each(COPIES)('undici %s', (_version, undici) => {
  class Passing extends undici.Dispatcher {
    readonly passOn: PassOn

    constructor(passOn: PassOn) {
      super()
      this.passOn = passOn
    }

    override dispatch(...given: Parameters<PassOn>): boolean {
      return this.passOn(...given)
    }
  }

  const call = async (user: string, dispatcher: undici8.Dispatcher): Promise<void> => {
    const { body } = await undici.request(`${callers.origin}/${user}`, { dispatcher })
    await body.text()
  }
  /** The relay has seen it, and it has a connection. */
  async function warm<D extends undici8.Dispatcher>(dispatcher: D): Promise<D> {
    await callers.as('first', () => call('first', dispatcher))
    callers.arrivals()
    return dispatcher
  }

  it('with the handler of another caller: the token is that of the caller who gets the answer, or none', async () => {
    const agent = await warm(new undici.Agent())
    const waiting: Parameters<PassOn>[] = []
    const swapping = new Passing((...given) => {
      waiting.push(given)
      const [first, second] = waiting
      if (first === undefined || second === undefined) return true
      agent.dispatch(second[0], first[1])
      return agent.dispatch(first[0], second[1])
    })
    await Promise.all(['alice', 'bob'].map((user) => callers.as(user, () => call(user, swapping))))
    expect([...callers.arrivals()].sort()).toEqual(['alice as bob', 'bob as alice'])
    await agent.close()
  })

  it('to two clients: two decisions, each on the span', async () => {
    const clients = await Promise.all([0, 1].map(() => warm(new undici.Client(callers.origin))))
    const hedging = new Passing((...given) => clients.map((client) => client.dispatch(...given)).every(Boolean))
    await callers.as('alice', async () => {
      const verdicts = await verdictsOf(() => call('alice', hedging).catch(() => undefined))
      await vi.waitFor(() => expect(verdicts).toEqual(['forwarded', 'forwarded']))
    })
    await Promise.all(clients.map((client) => client.destroy()))
  })

  it('to a client of another origin: no token', async () => {
    const other = createServer((request, response) => response.end(request.headers.authorization ?? 'none'))
    const client = new undici.Client(`http://127.0.0.1:${await listen(other)}`)
    const misleading = new Passing((...given) => client.dispatch(...given))
    const answers: string[] = []
    for (const _ of [1, 2]) {
      await callers.as('alice', async () => {
        const { body } = await undici.request(`${callers.origin}/alice`, { dispatcher: misleading })
        answers.push(await body.text())
      })
    }
    expect(answers).toEqual(['none', 'none'])
    await client.destroy()
    await close(other)
  })

  it('to a proxy that is used again: no token, because the proxy would read it [F7]', async () => {
    const proxy = createServer().on('connect', (_, socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
    const agent = new undici.ProxyAgent({ uri: `http://127.0.0.1:${await listen(proxy)}`, proxyTunnel: true })
    const passing = new Passing((...given) => agent.dispatch(...given))
    for (const _ of [1, 2]) {
      const verdicts = callers.as('alice', () => verdictsOf(() => call('alice', passing).catch(() => undefined)))
      expect(await verdicts).toContain('proxied')
    }
    await agent.destroy()
    await close(proxy)
  })
})
