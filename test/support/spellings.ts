/** Ways to spell a URL that may or may not mean the same place, and one that resolves every name in them without a network. */

import dns from 'node:dns'

/** `127.0.0.1` in a plain and in many other ways, and hosts that look like it. */
const HOSTS = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '0x7f.0.0.1',
  '0x7f000001',
  '0177.0.0.1',
  '017700000001',
  '2130706433',
  '127.0.0.1.',
  '127.0.0.1..',
  '127。0。0。1',
  '127．0．0．1',
  '１２７.0.0.1',
  '127%2e0%2e0%2e1',
  '127%2E0.0.1',
  '%31%32%37.0.0.1',
  '127.0.0.1%00',
  '127.0.0.1%20',
  '127.0\t.0.1',
  '127.0.0.\n1',
  '127.0.0.01',
  '127.0.0.1.evil.example',
  '127.0.0.1.localhost',
  'evil.example',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'lo\u00adcalhost',
  'ⓛocalhost',
  'xn--localhost-',
  '127.0.0.2',
  '127.0.0.257',
  '[::1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[fe80::1%25lo]',
  '[64:ff9b::127.0.0.1]',
  '0',
  '',
]
const SCHEMES = ['http://', 'HTTP://', 'ht\ttp://', 'http:\\\\', 'http:/', ' http://', 'https://', 'ws://']
const USERINFO = ['', '@', 'user@', ':secret@', '127.0.0.1@', '127.0.0.1:80@', '127.0.0.1\\@', '127.0.0.1#@']
const TAILS = ['/', '', '/../a?b#c', '\\evil.example', '?@evil.example']

/** All combinations; `port` is that of the named server. */
export function spellings(port: number): readonly string[] {
  const ports = [`:${port}`, `:0${port}`, '', ':9']
  const spelled = SCHEMES.flatMap((scheme) =>
    USERINFO.flatMap((userinfo) =>
      HOSTS.flatMap((host) =>
        ports.flatMap((each) => TAILS.map((tail) => `${scheme}${userinfo}${host}${each}${tail}`)),
      ),
    ),
  )
  return spelled
}

/**
 * Resolves `localhost` to `127.0.0.1` and every other name to `127.0.0.2`, where a test listens for what should not
 * arrive. Returns how to undo it.
 */
export function resolveEverything(): () => void {
  const previous = dns.lookup
  const lookup = (host: string, options: unknown, callback: (...args: unknown[]) => void): void => {
    const address = /^localhost$/i.test(host) ? '127.0.0.1' : '127.0.0.2'
    const all = typeof options === 'object' && options !== null && Reflect.get(options, 'all') === true
    process.nextTick(() => (all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4)))
  }
  Object.assign(dns, { lookup: Object.assign(lookup, previous) })
  return () => void Object.assign(dns, { lookup: previous })
}
