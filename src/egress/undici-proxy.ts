/** Tells whether an undici dispatcher leads through a forward proxy. */

const PROXY_AGENTS = ['ProxyAgent', 'Socks5ProxyAgent']

/**
 * Whether `dispatcher` leads through a proxy; `outer` is the one that has called it. By name, of any class it extends: a
 * wrong guess withholds.
 */
export function entersProxy(dispatcher: object, outer: object | undefined): boolean {
  if (PROXY_AGENTS.some((name) => isA(dispatcher, name))) return true
  if (outer === undefined || !isA(outer, 'EnvHttpProxyAgent')) return false
  const direct = Object.getOwnPropertySymbols(outer).find(({ description }) => description === 'no proxy agent')
  return direct === undefined || Reflect.get(outer, direct) !== dispatcher
}

function isA(value: object, name: string): boolean {
  for (let each: object | null = value; each !== null; each = Object.getPrototypeOf(each)) {
    if (each.constructor?.name === name) return true
  }
  return false
}
