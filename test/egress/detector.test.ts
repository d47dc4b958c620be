/** In development, the detector warns of calls without a caller: it says where they are made, and repeats no secret. */

import { get } from 'node:http'
import { promisify } from 'node:util'
import {
  context,
  DiagLogLevel,
  defaultTextMapGetter,
  defaultTextMapSetter,
  diag,
  ROOT_CONTEXT,
} from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import axios from 'axios'
import { request } from 'undici'
import { request as request6 } from 'undici-6'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bind, runAsAll, setDestination, wrapExecutor } from '../../src/index.ts'
import type { Service } from '../support/service.ts'
import { bearer, deferred, startService, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
const GLOBALS = ['fetch', 'setTimeout', 'setInterval', 'setImmediate'] as const
const globals = (): unknown[] => GLOBALS.map((name) => globalThis[name])
const untouched = globals()

let service: Service
let warnings: string[]
/** What the service does with a request; it is answered when that is done. */
let handle: () => unknown

async function start(egress: object = { detector: 'warn' }, rule: object | null = {}): Promise<void> {
  service = await startService({
    rule,
    options: { egress },
    handler: async (_, response) => {
      await handle()
      response.end()
    },
  })
}
beforeEach(async () => {
  warnings = []
  const ignore = (): void => undefined
  const logger = { verbose: ignore, debug: ignore, info: ignore, error: ignore }
  diag.setLogger({ ...logger, warn: (text) => void warnings.push(text) }, DiagLogLevel.WARN)
  await start()
})
afterEach(async () => {
  diag.disable()
  await service[Symbol.asyncDispose]()
})

async function restart(...options: Parameters<typeof start>): Promise<void> {
  await service[Symbol.asyncDispose]()
  await start(...options)
}
const url = (): string => `${service.sink.origin}/sink/x?secret=in-the-query`
const call = async (): Promise<string> => (await fetch(url())).text()
const asAlice = (fn: () => unknown): Promise<string> => {
  handle = fn
  return service.send([bearer(TOKEN)])
}
const HERE = /[\w/.-]+\/test\/egress\/detector\.test\.ts:\d+:\d+/.source
const warning = (finding: string, more = ''): RegExp =>
  new RegExp(
    `^otel-token-relay: a call to ${service.sink.origin} was ${finding}, and carries no token; called at ${HERE}( < ${HERE})*${more}$`,
  )
const KEPT = `; context kept at ${HERE}( < ${HERE})*`

describe('a warning', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['fetch', call],
    ['http', () => new Promise((resolve) => get(url(), (response) => response.resume().on('end', resolve)))],
    ['undici', async () => (await request(url())).body.dump()],
    ['undici 6', async () => (await request6(url())).body.dump()],
    ['axios', async () => axios.get(url())],
  ])('says once where %s was called without a caller', async (_, way) => {
    for (let i = 0; i < 3; i += 1) await way()
    expect(warnings).toEqual([expect.stringMatching(warning('made without a caller'))])
    expect(service.sink.received).toHaveLength(3)
  })

  it('says where an interval was set that outlives the request, and what it calls [G2]', async () => {
    const done = deferred<Promise<string>>()
    await asAlice(() => {
      const interval = setInterval(() => {
        if (service.relay.explain(service.sink.origin).reason !== 'detached') return
        clearInterval(interval)
        done.resolve(call())
      }, 1)
    })
    await done.promise
    expect(warnings).toEqual([expect.stringMatching(warning('made after the request of its caller has ended', KEPT))])
  })

  it.each<[string, (fn: () => Promise<string>) => () => Promise<string>]>([
    ['bind', bind],
    ['wrapExecutor', (fn) => keep(fn)],
  ])('says where %s has kept the context [G2]', async (_, keeping) => {
    let later: (() => Promise<string>) | undefined
    await asAlice(() => {
      later = keeping(call)
    })
    await expect.poll(() => later !== undefined).toBe(true)
    await later?.()
    expect(warnings).toEqual([expect.stringMatching(warning('made after the request of its caller has ended', KEPT))])
  })

  function keep(fn: () => Promise<string>): () => Promise<string> {
    const tasks: (() => Promise<string>)[] = []
    wrapExecutor({ add: (task: () => Promise<string>) => void tasks.push(task) }).add(fn)
    return () => tasks[0]?.() ?? Promise.reject(new Error('no task'))
  }

  it('says where work for several callers was put together [G1]', async () => {
    let alice = ROOT_CONTEXT
    await asAlice(async () => {
      alice = context.active()
      await runAsAll([alice, ROOT_CONTEXT], call)
    })
    expect(warnings).toEqual([expect.stringMatching(warning('made for several callers', KEPT))])
  })

  it('is logged for a token that is not verified', async () => {
    const carrier = { authorization: `Bearer ${TOKEN}` }
    const extracted = service.relay.propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter)
    await asAlice(() => context.with(extracted, call))
    expect(warnings).toEqual([expect.stringMatching(warning('made with a token that is not verified'))])
  })

  it('is logged for a carrier that the application fills', async () => {
    await service[Symbol.asyncDispose]()
    const destinations = [{ to: 'kafka:orders', seal: false }]
    service = await startService({ options: { egress: { detector: 'warn' }, destinations } })
    const ctx = setDestination(ROOT_CONTEXT, 'kafka:orders')
    service.relay.propagator.inject(ctx, {}, defaultTextMapSetter)
    service.relay.propagator.inject(setDestination(ROOT_CONTEXT, 'kafka:others'), {}, defaultTextMapSetter)
    const told = `^otel-token-relay: a call to kafka:orders was made without a caller, and carries no token; called at ${HERE}`
    expect(warnings).toEqual([expect.stringMatching(told)])
  })

  it('repeats nothing of the token, or of the query [G4]', async () => {
    await call()
    await asAlice(() => runAsAll([context.active(), ROOT_CONTEXT], call))
    expect(warnings).toHaveLength(2)
    for (const secret of [...TOKEN.split('.'), 'secret', 'in-the-query', 'alice']) {
      expect(warnings.join('\n')).not.toContain(secret)
    }
  })
})

describe('no warning', () => {
  function expectQuiet(calls: number): void {
    expect(service.sink.received).toHaveLength(calls)
    expect(warnings).toEqual([])
  }

  it('is logged for the call of a caller', async () => {
    await asAlice(call)
    expect(service.sink.received[0]?.authorization).toEqual([`Bearer ${TOKEN}`])
    expectQuiet(1)
  })

  it("is logged for work that may go on: detached: 'allow'", async () => {
    await restart(undefined, { detached: 'allow' })
    let later: (() => Promise<string>) | undefined
    await asAlice(() => {
      later = bind(call)
    })
    await later?.()
    expectQuiet(1)
  })

  it('is logged for a destination that no rule names', async () => {
    await restart(undefined, null)
    await call()
    expectQuiet(1)
  })

  it('is logged for calls that the application authorizes itself', async () => {
    const own = { headers: { authorization: 'Basic eDp5' } }
    await (await fetch(url(), own)).text()
    await axios.get(url(), own)
    expectQuiet(2)
  })

  it('is logged for calls of exporters', async () => {
    await context.with(suppressTracing(ROOT_CONTEXT), call)
    expectQuiet(1)
  })

  it('is logged if the detector is off, which is the default; then nothing is replaced', async () => {
    await restart({})
    expect(globals()).toEqual(untouched)
    await call()
    expectQuiet(1)
  })
})

describe('the global functions', () => {
  it('work as before: results, promisify, and a timer that is cleared', async () => {
    expect(globals().every((each, i) => each !== untouched[i])).toBe(true)
    expect(setTimeout.name).toBe('setTimeout')
    expect(await promisify(setTimeout)(1, 'value')).toBe('value')
    expect(await new Promise((resolve) => setTimeout(resolve, 1, 'argument'))).toBe('argument')
    const timer = setTimeout(() => expect.unreachable(), 1)
    expect(timer.hasRef()).toBe(true)
    clearTimeout(timer)
    await expect(fetch('not a url')).rejects.toThrow(TypeError)
  })

  it('are put back at shutdown', async () => {
    await service.relay.shutdown()
    expect(globals()).toEqual(untouched)
  })
})
