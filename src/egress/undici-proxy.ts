/** Tells whether an undici dispatcher leads through a forward proxy. */

const PROXY_AGENTS = ['ProxyAgent', 'Socks5ProxyAgent']

/**
 * Whether `dispatcher` leads through a proxy; `outer` is the one that has called it. By name, of any class it extends: a
 * wrong guess withholds.
 */
export function entersProxy(dispatcher: object, outer: object | undefined): boolean {
  if (isProxyAgent(dispatcher)) return true
  if (outer === undefined || !isA(outer, 'EnvHttpProxyAgent')) return false
  const direct = Object.getOwnPropertySymbols(outer).find(({ description }) => description === 'no proxy agent')
  return direct === undefined || Reflect.get(outer, direct) !== dispatcher
}

/** By prototype: there are few of them, and a dispatch is made for every request. */
const known = new WeakMap<object, boolean>()

function isProxyAgent(dispatcher: object): boolean {
  const prototype = Object.getPrototypeOf(dispatcher) as object | null
  if (prototype === null || Object.hasOwn(dispatcher, 'constructor')) return isAnyProxyAgent(dispatcher)
  const remembered = known.get(prototype)
  if (remembered !== undefined) return remembered
  const is = isAnyProxyAgent(prototype)
  known.set(prototype, is)
  return is
}

function isAnyProxyAgent(value: object): boolean {
  return PROXY_AGENTS.some((name) => isA(value, name))
}

function isA(value: object, name: string): boolean {
  for (let each: object | null = value; each !== null; each = Object.getPrototypeOf(each)) {
    if (each.constructor?.name === name) return true
  }
  return false
}
