/** Finds out whether an undici dispatcher leads through a forward proxy. */

import { symbolOf } from '../../base/own-property.ts'

const PROXY_AGENTS = ['ProxyAgent', 'Socks5ProxyAgent']

/**
 * Whether `dispatcher` leads through a proxy; `outer` is the dispatcher that has called it. Goes by the names of all
 * classes that it extends: a wrong guess withholds the token.
 */
export function entersProxy(dispatcher: object, outer: object | undefined): boolean {
  if (kindOf(dispatcher) === 'proxy') return true
  if (outer === undefined || kindOf(outer) !== 'proxy by environment') return false
  const direct = symbolOf(outer, 'no proxy agent')
  return direct === undefined || Reflect.get(outer, direct) !== dispatcher
}

type Kind = 'direct' | 'proxy' | 'proxy by environment'

/** The answers for prototypes: there are few of them, and every request is dispatched. */
const kinds = new WeakMap<object, Kind>()

function kindOf(dispatcher: object): Kind {
  const prototype = Object.getPrototypeOf(dispatcher) as object | null
  if (prototype === null || Object.hasOwn(dispatcher, 'constructor')) return kindByName(dispatcher)
  let kind = kinds.get(prototype)
  if (kind === undefined) {
    kind = kindByName(prototype)
    kinds.set(prototype, kind)
  }
  return kind
}

function kindByName(value: object): Kind {
  if (PROXY_AGENTS.some((name) => extendsNamed(value, name))) return 'proxy'
  return extendsNamed(value, 'EnvHttpProxyAgent') ? 'proxy by environment' : 'direct'
}

function extendsNamed(value: object, name: string): boolean {
  for (let each: object | null = value; each !== null; each = Object.getPrototypeOf(each)) {
    if (each.constructor?.name === name) return true
  }
  return false
}
