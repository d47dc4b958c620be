/** Remembers the addresses that Node's resolver gives for names, to compare with those that other code connects to. */

import { createRequire, syncBuiltinESMExports } from 'node:module'
import { LRUCache } from 'lru-cache'
import { isObject } from '../../base/own-property.ts'
import { packageUrl } from '../../base/package-url.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchMethod } from '../../base/patch-method.ts'

const MAX_NAMES = 1_000
/** Addresses per name. The oldest is forgotten first. */
const MAX_ADDRESSES = 100

const answers = new LRUCache<string, Set<string>>({ max: MAX_NAMES })
/** `dns.lookup`, and the replacements of it. */
const lookups = new WeakSet<object>()

/** Whether Node's resolver has given `address` for `host` since the relay was created. */
export function isAnswerFor(host: string, address: string | undefined): boolean {
  return address !== undefined && answers.get(host.toLowerCase())?.has(withoutMapping(address)) === true
}

/** Whether `lookup` is `dns.lookup`. */
export function isLookupOfNode(lookup: unknown): boolean {
  return typeof lookup === 'function' && lookups.has(lookup)
}

type Callback = (error: unknown, ...found: unknown[]) => unknown
type Lookup = (this: unknown, host: unknown, ...rest: unknown[]) => unknown
interface Servers {
  getServers(): readonly string[]
}
type Resolve = (this: Servers, host: unknown, ...rest: unknown[]) => Promise<unknown>
interface Dns {
  readonly lookup: Lookup
  readonly promises: { readonly Resolver: { new (): Servers; readonly prototype: object } }
}

/**
 * Wraps `dns.lookup`, `dns.promises.lookup` and the resolvers of `dns.promises` that ask the servers of the system: a
 * `lookup` with a cache, which agents have, asks one of them. Returns how to undo it.
 */
export function watchNameAnswers(): Undo {
  const dns = createRequire(packageUrl)('node:dns') as Dns
  const { Resolver } = dns.promises
  // A new one has the servers of the system, also if the application has called `dns.setServers`.
  const ofSystem = String(new Resolver().getServers())
  const isOfSystem = (resolver: Servers): boolean => String(resolver.getServers()) === ofSystem
  const { prototype } = Resolver
  const undo = combineUndos([
    patchLookup(dns),
    patchPromised(dns.promises, 'lookup', () => true),
    ...['resolve4', 'resolve6'].map((name) => patchPromised(prototype, name, isOfSystem)),
  ])
  syncBuiltinESMExports()
  return () => {
    undo()
    syncBuiltinESMExports()
  }
}

function patchLookup(dns: Dns): Undo {
  lookups.add(dns.lookup)
  const undo = patchMethod<Lookup>(
    dns,
    'lookup',
    (previous, patch) =>
      function (host, ...rest) {
        const done = rest.at(-1)
        if (!patch.isActive || typeof done !== 'function') return previous.call(this, host, ...rest)
        const remembering: Callback = (error, ...found) => {
          remember(host, found[0])
          return Reflect.apply(done, undefined, [error, ...found])
        }
        return previous.call(this, host, ...rest.slice(0, -1), remembering)
      },
  )
  lookups.add(dns.lookup)
  return undo
}

function patchPromised(owner: object, name: string, isTrusted: (resolver: Servers) => boolean): Undo {
  return patchMethod<Resolve>(
    owner,
    name,
    (previous, patch) =>
      async function (host, ...rest) {
        const found = await previous.call(this, host, ...rest)
        if (patch.isActive && isTrusted(this)) remember(host, found)
        return found
      },
  )
}

/** Remembers what a resolver has found: an address, an object with one, or a list of them. */
function remember(host: unknown, found: unknown): void {
  if (typeof host !== 'string') return
  const name = host.toLowerCase()
  for (const each of Array.isArray(found) ? found : [found]) {
    const address: unknown = isObject(each) ? each['address'] : each
    if (typeof address === 'string') rememberAddress(name, withoutMapping(address))
  }
}

function rememberAddress(name: string, address: string): void {
  const known = answers.get(name) ?? new Set()
  // What is added again is the newest.
  known.delete(address)
  known.add(address)
  const [oldest] = known
  if (known.size > MAX_ADDRESSES && oldest !== undefined) known.delete(oldest)
  answers.set(name, known)
}

/** An IPv4 address may be written as one of IPv6 (RFC 4291 §2.5.5.2). */
function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}
