/** F1 Redirect chains: every hop is decided on its own, however long the way and however the next place is spelled. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Random } from '../fuzz/random.ts'
import { createRandom } from '../fuzz/random.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import type { Bench, Client } from './bench.ts'
import { call, startBench } from './bench.ts'
import { clientsOf } from './matrix.ts'
import type { Place } from './places.ts'
import { hops, verdictOf } from './verdict.ts'

const STATUSES = [301, 302, 303, 307, 308]
const LONGEST = 20
const CHAIN_CLIENTS = ['fetch', 'undici 8 redirect interceptor', 'axios', 'got']

let scratch: string
let bench: Bench
let program: Program
let clients: readonly Client[]
let port: number
let token: string
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'redirects-'))
  bench = await startBench(scratch)
  program = bench.start('otel-3', 'sampled')
  clients = await clientsOf(program)
  port = await program.report<number>('port')
  token = await bench.token('alice')
})
afterAll(async () => {
  await program[Symbol.asyncDispose]()
  await bench[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
})

function client(name: string): Client {
  const found = clients.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no client ${name}`)
  return found
}

/** Each hop as `place verdict`. */
async function follow(name: string, places: readonly Place[], statusOf: (hop: number) => number): Promise<string[]> {
  const run = bench.places.run()
  const urls = places.map((place, i) => run.url(bench.places.origin('http', place), String(i)))
  for (const [i, location] of urls.slice(1).entries()) {
    run.meets(String(i), { kind: 'redirect', status: statusOf(i), location })
  }
  const arrivals = await call(port, run, { client: client(name), url: urls[0] ?? '', token })
  return arrivals.map((arrival) => `${arrival.place} ${verdictOf(arrival, token)}`)
}

/** From a named place, over any, and back to a named one. */
function wander(random: Random, redirects: number): Place[] {
  const between = Array.from({ length: redirects - 1 }, () => random.pick<Place>(['named', 'alsoNamed', 'other']))
  return ['named', ...between, random.pick<Place>(['named', 'alsoNamed', 'other'])]
}

const decided = (places: readonly Place[]): string[] =>
  places.map((place) => `${place} ${place === 'other' ? 'none' : 'token'}`)

describe.each(CHAIN_CLIENTS)('%s', (name) => {
  it.each([...STATUSES, 'mixed'] as const)('chains of 1 to 20 redirects: %s [F1]', async (status) => {
    const random = createRandom(STATUSES.indexOf(Number(status)) + 7)
    const chains = Array.from({ length: LONGEST }, (_, i) => wander(random, i + 1))
    const statusOf = (hop: number): number => (status === 'mixed' ? (STATUSES[hop % STATUSES.length] ?? 302) : status)
    const followed = await Promise.all(chains.map((places) => follow(name, places, statusOf)))
    expect(followed).toEqual(chains.map(decided))
  })
})

/** `location` after `PORT`, `OTHER` and `RUN` have been filled in, and what the two hops carry. */
const SPELLINGS: readonly (readonly [string, string, string])[] = [
  ['relative', '/RUN/1', 'token → token'],
  ['scheme-relative, named', '//127.0.0.1:PORT/RUN/1', 'token → token'],
  ['scheme-relative, another port', '//127.0.0.1:OTHER/RUN/1', 'token → none'],
  ['backslashes, named', '\\\\127.0.0.1:PORT\\RUN\\1', 'token → token'],
  ['backslashes, another port', '/\\127.0.0.1:OTHER/RUN/1', 'token → none'],
  ['localhost for 127.0.0.1', 'http://localhost:PORT/RUN/1', 'token → none'],
  ['a decimal address, which is the named one', 'http://2130706433:PORT/RUN/1', 'token → token'],
  ['userinfo, named', 'http://u:p@127.0.0.1:PORT/RUN/1', 'token → token'],
  ['userinfo, another port', 'http://u:p@127.0.0.1:OTHER/RUN/1', 'token → none'],
  ['userinfo that looks like the named origin', 'http://127.0.0.1:PORT@127.0.0.1:OTHER/RUN/1', 'token → none'],
]

/** What clients make of userinfo: `fetch` ends there, got sends it as its own credential, others drop it. */
function withUserinfo(name: string, usual: string): string {
  if (name === 'fetch') return 'token'
  return name === 'got' ? 'token → own' : usual
}

const basicIsOwn = (verdicts: string, authorization: string | undefined): string =>
  authorization?.startsWith('Basic ') ? verdicts.replace('WRONG', 'own') : verdicts

describe.each([...CHAIN_CLIENTS, 'undici 5 maxRedirections'])('%s', (name) => {
  it.each(SPELLINGS)('redirect to a place spelled otherwise: %s [F1, F4]', async (_, spelling, usual) => {
    const run = bench.places.run()
    const location = spelling
      .replaceAll('PORT', new URL(bench.places.origin('http', 'alsoNamed')).port)
      .replaceAll('OTHER', new URL(bench.places.origin('http', 'other')).port)
      .replaceAll('RUN', run.id)
    run.meets('0', { kind: 'redirect', status: 302, location })
    const url = run.url(bench.places.origin('http', 'named'), '0')
    const arrivals = await call(port, run, { client: client(name), url, token })
    const verdicts = basicIsOwn(hops(arrivals, token), arrivals[1]?.authorization[0])
    expect(verdicts).toBe(spelling.includes('@') ? withUserinfo(name, usual) : usual)
  })

  it('from https down to http: only where that origin is named too [F3]', async () => {
    const verdicts = []
    for (const place of ['named', 'other'] as const) {
      const run = bench.places.run()
      run.meets('0', { kind: 'redirect', status: 302, location: run.url(bench.places.origin('http', place), '1') })
      const url = run.url(bench.places.origin('https', 'named'), '0')
      verdicts.push(hops(await call(port, run, { client: client(name), url, token }), token))
    }
    expect(verdicts).toEqual(['token → token', 'token → none'])
  })
})

it('the chains catch a build that copies the header', async () => {
  await using naive = startProgram('matrix.cjs', { preload: ['--require', './programs/naive.cjs'], env: bench.env })
  port = await naive.report<number>('port')
  const places: readonly Place[] = ['named', 'other', 'named']
  expect(await follow('fetch', places, () => 302)).not.toEqual(decided(places))
})
