/** The effective target of a connection: what the WHATWG URL standard makes of it, or none where that leaves a doubt. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { announcedTarget, networkTarget, originTarget } from '../../src/destination/target.ts'

const hostOf = (host: unknown): string | undefined => networkTarget('https', host, 443)?.host

describe('the host of a connection', () => {
  it.each([
    ['profile.example', 'profile.example'],
    ['PROFILE.Example', 'profile.example'],
    ['profile', 'profile'],
    ['under_score.example', 'under_score.example'],
    ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
    ['profile.example.', 'profile.example.'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '[::1]'],
    ['2001:DB8::0:1', '[2001:db8::1]'],
    ['[::1]', '[::1]'],
  ])('%s', (host, expected) => {
    expect(hostOf(host)).toBe(expected)
  })

  it.each([
    ['hexadecimal', '0x7f.1', '127.0.0.1'],
    ['octal', '0177.0.0.1', '127.0.0.1'],
    ['one number', '2130706433', '127.0.0.1'],
    ['short', '127.1', '127.0.0.1'],
    ['in IPv6', '::ffff:127.0.0.1', '[::ffff:7f00:1]'],
  ])('an address is the same in every spelling: %s [F4]', (_, host, expected) => {
    expect(hostOf(host)).toBe(expected)
  })
})

it('what was found out about a host is that of no other, however many there were [F4]', () => {
  const hosts = Array.from({ length: 3_000 }, (_, i) => (i % 3 === 0 ? `%2e${i}` : `Host-${i}.example`))
  const found = hosts.map(hostOf)
  expect(hosts.map(hostOf)).toEqual(found)
  expect(found).toEqual(hosts.map((host) => (host.startsWith('%') ? undefined : host.toLowerCase())))
})

describe('a host in doubt is no target [F4]', () => {
  it.each([
    ['an escaped dot', 'profile%2eexample'],
    ['an escaped letter', '%70rofile.example'],
    ['an escaped NUL', 'profile.example%00.evil.example'],
    ['a NUL', 'profile.example\0'],
    ['full-width letters', '\uff50rofile.example'],
    ['a full-width dot', 'profile\uff0eexample'],
    ['an ideographic full stop', 'profile\u3002example'],
    ['a name that is not punycode yet', 'münchen.example'],
    ['a soft hyphen', 'pro\u00adfile.example'],
    ['a zero-width space', 'profile\u200b.example'],
    ['a tab', 'pro\tfile.example'],
    ['a line break', 'profile.example\r\n'],
    ['a space', ' profile.example'],
    ['userinfo', 'user@profile.example'],
    ['a port', 'profile.example:443'],
    ['a path', 'profile.example/path'],
    ['a backslash', 'profile.example\\@evil.example'],
    ['a query', 'profile.example?'],
    ['a fragment', 'profile.example#'],
    ['a scheme', 'https://profile.example'],
    ['a zone', 'fe80::1%eth0'],
    ['a zone in brackets', '[fe80::1%25eth0]'],
    ['an empty label', 'profile..example'],
    ['a leading dot', '.profile.example'],
    ['two trailing dots', 'profile.example..'],
    ['a wildcard', '*.example'],
    ['an address with a trailing dot, which a resolver takes for a name', '127.0.0.1.'],
    ['an address beyond its range', '256.0.0.1'],
    ['a number that is too large', '4294967296'],
    ['an address with five parts', '1.2.3.4.5'],
    ['an open bracket', '[::1'],
    ['nothing', ''],
    ['a dot', '.'],
    ['undefined', undefined],
    ['null', null],
    ['a number', 7],
    ['a list', ['profile.example']],
    ['an object that prints as a host', { toString: () => 'profile.example' }],
  ])('%s', (_, host) => {
    expect(networkTarget('https', host, 443)).toBeUndefined()
  })

  it.each([
    '[::1]@evil.example',
    '[::1]:8443',
    '[::1]/path',
    '[::1]?',
    '[::1]#',
    '[::1]\t',
    '[::1]:80@profile.example',
  ])('something after a bracket: %j', (host) => {
    expect(networkTarget('https', host, 443)).toBeUndefined()
  })
})

describe('the port of a connection', () => {
  it.each([1, 80, 443, 65_535, '8443'])('%s', (port) => {
    expect(networkTarget('https', 'a.example', port)).toMatchObject({ port: Number(port) })
  })

  it.each([0, -1, 65_536, 1.5, Number.NaN, '', 'https', undefined, null, {}, [1, 2]])('%j is none', (port) => {
    expect(networkTarget('https', 'a.example', port)).toBeUndefined()
  })
})

describe('for every host [F4]', () => {
  const alphabet = [...'ab.-_0x7f1%2e[]:@/\\?#\t \u00ad\uff0e\u3002\u200bü*\0'].map((c) => fc.constant(c))
  const hosts = fc.oneof(
    fc.array(fc.oneof(...alphabet), { maxLength: 16 }).map((chars) => chars.join('')),
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.domain(),
    fc.ipV4Extended(),
    fc.ipV6(),
    fc.webAuthority({ withUserInfo: true, withPort: true }),
  )

  it('the verdict is the WHATWG host of it, without userinfo, port or path, or none', () => {
    fc.assert(
      fc.property(hosts, (host) => {
        const target = networkTarget('https', host, 443)
        if (target === undefined) return
        const url = new URL(`https://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}`)
        expect([url.username, url.password, url.port, url.pathname, url.search, url.hash]).toEqual([
          '',
          '',
          '',
          '/',
          '',
          '',
        ])
        expect(target.host).toBe(url.hostname)
      }),
      { numRuns: 5_000, examples: [['[::1]@evil.example']] },
    )
  })

  it('the verdict is the same for the spelling that the URL parser writes', () => {
    fc.assert(
      fc.property(fc.webUrl({ validSchemes: ['http', 'https'] }), (text) => {
        const url = new URL(text)
        const port = url.protocol === 'https:' ? 443 : 80
        const direct = networkTarget(url.protocol.slice(0, -1), url.hostname, url.port === '' ? port : url.port)
        expect(direct).toEqual(originTarget(url))
      }),
    )
  })
})

describe('the target of an origin', () => {
  it.each([
    ['https://profile.example', { scheme: 'https', host: 'profile.example', port: 443 }],
    ['http://profile.example', { scheme: 'http', host: 'profile.example', port: 80 }],
    ['https://PROFILE.example:8443/path', { scheme: 'https', host: 'profile.example', port: 8443 }],
    ['https://user:pass@profile.example', { scheme: 'https', host: 'profile.example', port: 443 }],
    ['https://0x7f.1', { scheme: 'https', host: '127.0.0.1', port: 443 }],
  ])('%s', (origin, target) => {
    expect(originTarget(new URL(origin))).toEqual({ kind: 'network', ...target })
  })

  it.each([
    'ftp://a.example',
    'ws://a.example',
    'file:///etc/passwd',
    'data:,x',
    'blob:https://a.example/x',
  ])('%s is none', (origin) => {
    expect(originTarget(new URL(origin))).toBeUndefined()
  })
})

describe('the target that an application announces', () => {
  it.each([
    ['kafka:orders', { kind: 'messaging', system: 'kafka', name: 'orders' }],
    ['grpcs://a.example', { kind: 'network', scheme: 'grpcs', host: 'a.example', port: 443 }],
  ])('%s', (destination, target) => {
    expect(announcedTarget(destination)).toEqual(target)
  })

  it.each([
    'kafka:orders.*',
    'https://*.internal.example',
    '',
    'orders',
    'kafka:',
    'https://a.example/path',
  ])('%j is none', (destination) => {
    expect(announcedTarget(destination)).toBeUndefined()
  })

  it.each([undefined, null, 7, {}, []])('%j is none, and nothing is thrown', (destination) => {
    expect(announcedTarget(destination as string)).toBeUndefined()
  })
})
