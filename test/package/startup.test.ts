/** What a program that preloads the relay loads with it: what its configuration needs, and no more. */

import { spawnSync } from 'node:child_process'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { complaintsIn } from '../support/process.ts'
import { createScratch, quietEnvironment } from './scratch.ts'

const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())
beforeAll(() => {
  scratch.write({
    'watch.cjs': `
      const loaded = new Set()
      require('node:module').registerHooks({
        load(url, context, next) {
          loaded.add(/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\/(?!.*node_modules)/.exec(url)?.[1] ?? url)
          return next(url, context)
        },
      })
      process.on('exit', () => console.log(JSON.stringify([...loaded])))`,
    'main.cjs': '',
  })
})

const ISSUER = { issuer: 'https://id.example', audience: 'user-service' }
const CLIENT = { clientId: 'user-service', clientSecret: 'a secret of the service' }

/** What is loaded with the relay of `options`. */
function loadedWith(options: object): readonly string[] {
  scratch.write({ 'relay.json': JSON.stringify(options) })
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--require', './watch.cjs', '--require', 'otel-token-relay/register', 'main.cjs'],
    {
      cwd: scratch.folder,
      env: quietEnvironment({ TOKEN_RELAY_CONFIG_FILE: 'relay.json', OTEL_SDK_DISABLED: 'true' }),
      encoding: 'utf8',
    },
  )
  expect(complaintsIn(stderr)).toEqual([])
  return JSON.parse(stdout) as string[]
}

/** Packages that only some configurations need. */
const HEAVY = ['cockatiel', 'oauth4webapi', 'tldts', 'zod']

it.each([
  ['a usual configuration needs none of the heavy packages', { destinations: [{ to: 'https://api.example' }] }, []],
  ['a wildcard needs the list of public suffixes', { destinations: [{ to: 'https://*.example.com' }] }, ['tldts']],
  [
    'exchange needs the protocol of token endpoints',
    { issuers: [{ ...ISSUER, exchange: CLIENT }] },
    ['cockatiel', 'oauth4webapi'],
  ],
  [
    'introspection needs the protocol of its endpoint',
    { issuers: [{ ...ISSUER, introspection: { ...CLIENT, endpoint: 'https://id.example/introspect' } }] },
    ['cockatiel', 'oauth4webapi'],
  ],
])('%s', (_, options, expected) => {
  const loaded = loadedWith({ issuers: [ISSUER], ...options })
  expect(loaded).toContain('jose')
  expect(loaded.filter((name) => HEAVY.includes(name)).toSorted()).toEqual(expected)
})
