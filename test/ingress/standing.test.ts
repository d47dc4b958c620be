/** The gate stands from when a relay is created or its instrumentation taken, whatever happens around it. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import http2 from 'node:http2'
import { DiagLogLevel, diag } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { recordMetrics } from '../support/metrics.ts'
import { waitFor } from '../support/patience.ts'
import { exchange, requestOf } from '../support/raw.ts'
import { optionsFor } from '../support/relay.ts'
import { bearer, deferred, signer, tokenOf } from '../support/service.ts'

const GOOD = [bearer(tokenOf())]
const log = vi.fn<(level: string, message: string) => void>()

let server: Server
let port: number
let relay: TokenRelay | undefined
let handled = 0
beforeEach(async () => {
  handled = 0
  log.mockClear()
  const write = (level: string) => (message: string) => void log(level, message)
  const [error, warn, info, debug, verbose] = ['error', 'warn', 'info', 'debug', 'verbose'].map(write)
  diag.setLogger({ error, warn, info, debug, verbose } as never, {
    logLevel: DiagLogLevel.WARN,
    suppressOverrideMessage: true,
  })
  server = createServer((_, response) => {
    handled += 1
    response.end(getActiveCredential()?.subject ?? 'no caller')
  })
  port = await listen(server)
})
afterEach(async () => {
  await relay?.shutdown()
  relay = undefined
  // The gate of a relay stays shut; this one opens it for the next test.
  await create({ mode: 'off' }).shutdown()
  relay = undefined
  await close(server)
  diag.disable()
})

function create(ingress?: TokenRelayOptions['ingress']): TokenRelay {
  const options = optionsFor([signer.jwk])
  relay = createTokenRelay(ingress === undefined ? options : { ...options, ingress })
  return relay
}

async function status(fields: readonly string[] = []): Promise<number> {
  const answer = await exchange(port, requestOf('/', fields), () => false)
  return Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1])
}

async function expectGate(): Promise<void> {
  handled = 0
  expect([await status(), await status([bearer('garbage')]), handled]).toEqual([401, 401, 0])
  expect([await status(GOOD), handled]).toEqual([200, 1])
}

describe('the gate stands [E13]', () => {
  it('as soon as a relay is created with a mode, before anything is done with it', async () => {
    create({ mode: 'require' })
    await expectGate()
    expect(relay?.ready()).toBe(true)
  })

  it('in mode optional from the creation on, too', async () => {
    create({ mode: 'optional' })
    expect([await status(), await status([bearer('garbage')]), await status(GOOD)]).toEqual([200, 401, 200])
  })

  it('as soon as the instrumentation is taken, without a mode in the options', async () => {
    const { instrumentation } = create()
    await expectGate()
    expect(instrumentation.getConfig()).toEqual({ enabled: true })
  })

  it('if an instrumentation before it throws', async () => {
    const { instrumentation } = create()
    const throwing = {
      ...instrumentation,
      enable() {
        throw new Error('of another instrumentation')
      },
      getConfig: () => ({ enabled: false }),
    }
    expect(() => registerInstrumentations({ instrumentations: [throwing, instrumentation] })).toThrow()
    await expectGate()
  })

  it('when OpenTelemetry unloads and disables its instrumentations', async () => {
    const { instrumentation } = create()
    registerInstrumentations({ instrumentations: [instrumentation] })()
    instrumentation.setConfig({ enabled: false })
    instrumentation.disable()
    await expectGate()
  })
})

describe('after shutdown [E13]', () => {
  it('servers answer 503, and no handler runs, whatever the path, until the next relay takes over', async () => {
    const { instrumentation } = create({ mode: 'require', publicPaths: ['/'] })
    await relay?.shutdown()
    expect([await status(), await status(GOOD), handled]).toEqual([503, 503, 0])
    expect(instrumentation.getConfig()).toEqual({ enabled: false })
    instrumentation.enable()
    expect(await status(GOOD)).toBe(503)
    create()
    await expectGate()
  })

  it('a request that was waiting for its verdict meanwhile is answered 503, also if another relay has taken over', async () => {
    const { issuers } = optionsFor([signer.jwk])
    const asked = deferred<undefined>()
    const resolved = deferred<undefined>()
    const slow = {
      issuers: [],
      resolveIssuer: async () => {
        asked.resolve(undefined)
        await resolved.promise
        return issuers[0]
      },
      ingress: { mode: 'require' },
    } as const
    relay = createTokenRelay(slow as never)
    const waiting = status(GOOD)
    await asked.promise
    await relay.shutdown()
    create({ mode: 'require' })
    resolved.resolve(undefined)
    expect([await waiting, handled]).toEqual([503, 0])
    await expectGate()
  })

  it('upgrades, tunnels and HTTP/2 are shut, too', async () => {
    for (const event of ['upgrade', 'connect'] as const) {
      server.on(event, (_, socket) => {
        handled += 1
        socket.end()
      })
    }
    const second = http2.createServer((_, response) => {
      handled += 1
      response.end()
    })
    const session = http2.connect(`http://127.0.0.1:${await listen(second as never)}`)
    try {
      create({ mode: 'require' })
      await relay?.shutdown()
      expect(await status([...GOOD, 'Connection: Upgrade', 'Upgrade: test'])).toBe(503)
      const tunnel = await exchange(port, requestOf('a:1', GOOD, { method: 'CONNECT' }), () => false)
      expect(tunnel).toMatch(/^HTTP\/1.1 503/)
      const stream = session.request({ ':path': '/' })
      const answered = await new Promise((resolve) => stream.on('response', (fields) => resolve(fields[':status'])))
      expect([answered, handled]).toEqual([503, 0])
    } finally {
      session.destroy()
      await new Promise((resolve) => second.close(resolve))
    }
  })

  it('a relay that had no gate leaves none behind, and one with mode off opens it', async () => {
    create()
    await relay?.shutdown()
    expect(await status()).toBe(200)
    create({ mode: 'require' })
    await relay?.shutdown()
    expect(await status()).toBe(503)
    create({ mode: 'off' })
    expect(await status()).toBe(200)
    await relay?.shutdown()
    expect(await status()).toBe(200)
  })
})

describe('a relay without a gate, of which nothing asks anything', () => {
  it('is not ready once a server has handed out a request, says so once, and counts', async () => {
    await using recorded = recordMetrics()
    create()
    expect(relay?.ready()).toBe(true)
    expect([await status(), await status(GOOD)]).toEqual([200, 200])
    await waitFor(() => expect(relay?.ready()).toBe(false))
    await waitFor(async () => expect(await recorded.values('auth.ungated_requests')).toEqual([[{}, 2]]))
    expect(log.mock.calls).toEqual([['error', expect.stringMatching(/^otel-token-relay: requests are NOT verified/)]])
  })

  it('is ready again with the gate', async () => {
    create()
    await status()
    await waitFor(() => expect(relay?.ready()).toBe(false))
    void relay?.instrumentation
    expect(relay?.ready()).toBe(true)
    await expectGate()
  })

  it.each<readonly [string, (relay: TokenRelay) => unknown]>([
    ['admit', (own) => own.admit({ headers: {} })],
    ['checkScopes', (own) => own.checkScopes(undefined, ['a'])],
    ['checkRoles', (own) => own.checkRoles(undefined, ['a'])],
    ['verify', (own) => own.verify('garbage').catch(() => undefined)],
  ])('is ready if the application asks by itself: %s', async (_, ask) => {
    const own = create()
    server.prependListener('request', () => void ask(own))
    expect(await status()).toBe(200)
    expect(await status()).toBe(200)
    expect(own.ready()).toBe(true)
    expect(log).not.toHaveBeenCalled()
  })

  it('that is meant to have none is ready; that no adapter is in use is a warning', async () => {
    create({ mode: 'off' })
    expect([await status(), await status()]).toEqual([200, 200])
    await waitFor(() => expect(log).toHaveBeenCalledTimes(1))
    expect(log.mock.calls[0]).toEqual(['warn', expect.stringContaining('ingress.mode is off')])
    expect(relay?.ready()).toBe(true)
  })
})
