/** How operators write destinations, and which spellings are refused at start with the reason. */

import { describe, expect, it } from 'vitest'
import { isCleartext, PatternError, parsePattern } from '../../src/destination/pattern.ts'

const SHAPE = 'expected scheme://host[:port] without path or userinfo, or system:name'
const SCHEME = 'unknown scheme: expected https, http, grpcs or grpc'
const KIND = 'exchanges/ and queues/ cannot begin the name of a queue or exchange'
const SYSTEM = 'unknown messaging system: expected kafka, rabbitmq, bullmq, nats, aws_sqs, aws_sns, mqtt or worker'
const HOST = 'the host is not valid'
const LABEL = 'one * may stand for one whole leading host label only'
const ADDRESS = 'a wildcard needs a host name, not an address'
const SUFFIX = 'a wildcard must not stand on a public suffix'

describe('accepts a network destination', () => {
  it.each([
    ['https://profile.example', 'https', 'profile.example', 443],
    ['https://profile.example:8443', 'https', 'profile.example', 8443],
    ['https://profile.example:443', 'https', 'profile.example', 443],
    ['http://localhost:3000', 'http', 'localhost', 3000],
    ['http://profile.example', 'http', 'profile.example', 80],
    ['http://profile.example:443', 'http', 'profile.example', 443],
    ['grpcs://profile.example', 'grpcs', 'profile.example', 443],
    ['grpc://localhost:50051', 'grpc', 'localhost', 50051],
    ['https://PROFILE.Example', 'https', 'profile.example', 443],
    ['https://münchen.example', 'https', 'xn--mnchen-3ya.example', 443],
    ['https://xn--mnchen-3ya.example', 'https', 'xn--mnchen-3ya.example', 443],
    ['https://[::1]:8443', 'https', '[::1]', 8443],
    ['https://[2001:DB8:0:0::1]', 'https', '[2001:db8::1]', 443],
    ['https://127.0.0.1', 'https', '127.0.0.1', 443],
    ['https://profile.example.', 'https', 'profile.example.', 443],
    ['https://profile', 'https', 'profile', 443],
  ])('%s', (text, scheme, host, port) => {
    expect(parsePattern(text)).toEqual({ kind: 'network', scheme, host, port, wildcard: false })
  })

  it.each([
    ['https://*.internal.example', 'internal.example', 443],
    ['https://*.INTERNAL.example:8443', 'internal.example', 8443],
    ['https://*.example.co.uk', 'example.co.uk', 443],
    ['https://*.team.github.io', 'team.github.io', 443],
    ['https://*.münchen.example', 'xn--mnchen-3ya.example', 443],
  ])('%s, where * is one whole label', (text, host, port) => {
    expect(parsePattern(text)).toEqual({ kind: 'network', scheme: 'https', host, port, wildcard: true })
  })
})

describe('accepts a messaging destination', () => {
  it.each([
    ['kafka:orders', 'kafka', 'orders', false],
    ['rabbitmq:orders.created', 'rabbitmq', 'orders.created', false],
    ['bullmq:emails', 'bullmq', 'emails', false],
    ['nats:orders.eu', 'nats', 'orders.eu', false],
    ['worker:thumbnails', 'worker', 'thumbnails', false],
    ['mqtt:home/kitchen/light', 'mqtt', 'home/kitchen/light', false],
    ['aws_sqs:orders.fifo', 'aws_sqs', 'orders.fifo', false],
    ['rabbitmq:exchange:key', 'rabbitmq', 'exchange:key', false],
    ['kafka:Orders', 'kafka', 'Orders', false],
    ['kafka:orders.*', 'kafka', 'orders.', true],
    ['kafka:o*', 'kafka', 'o', true],
  ])('%s', (text, system, name, wildcard) => {
    expect(parsePattern(text)).toEqual({ kind: 'messaging', system, name, wildcard })
  })
})

describe('accepts what RabbitMQ has two kinds of', () => {
  it.each([
    ['rabbitmq:exchanges/orders', 'exchange', 'orders', false],
    ['rabbitmq:queues/orders', 'queue', 'orders', false],
    ['rabbitmq:exchanges/orders.*', 'exchange', 'orders.', true],
  ])('%s', (text, through, name, wildcard) => {
    expect(parsePattern(text)).toEqual({ kind: 'messaging', system: 'rabbitmq', name, through, wildcard })
  })
})

describe('refuses [F5]', () => {
  it.each([
    ['nothing', '', SHAPE],
    ['a bare *', '*', SHAPE],
    ['a host without scheme', 'example.com', SHAPE],
    ['a host and port without scheme', 'example.com:443', SHAPE],
    ['a scheme-relative host', '//example.com', SHAPE],
    ['a scheme alone', 'https://', SHAPE],
    ['one slash', 'https:/example.com', SHAPE],
    ['no slashes', 'https:example.com', SYSTEM],
    ['a queue that is called like an exchange', 'rabbitmq:queues/exchanges/orders', KIND],
    ['an exchange that is called like a queue', 'rabbitmq:exchanges/queues/orders', KIND],
    ['all exchanges', 'rabbitmq:exchanges/*', SHAPE],
    ['an upper-case scheme', 'HTTPS://example.com', SHAPE],
    ['a trailing slash', 'https://example.com/', SHAPE],
    ['a path', 'https://example.com/path', SHAPE],
    ['a query', 'https://example.com?x', SHAPE],
    ['a fragment', 'https://example.com#x', SHAPE],
    ['a backslash', 'https://example.com\\evil.example', SHAPE],
    ['userinfo', 'https://user@example.com', SHAPE],
    ['userinfo with a password', 'https://user:secret@example.com', SHAPE],
    ['a space before', ' https://example.com', SHAPE],
    ['a space after', 'https://example.com ', SHAPE],
    ['a space within', 'https://exam ple.com', SHAPE],
    ['a tab within', 'https://exam\tple.com', SHAPE],
    ['a line break after', 'https://example.com\n', SHAPE],
    ['two destinations', 'https://a.example https://b.example', SHAPE],
    ['a regular expression', '/^https:\\/\\/.*$/', SHAPE],
    ['a regular expression for a host', 'https://.*\\.example\\.com', SHAPE],
    ['an alternation', 'https://(a|b).example', HOST],
    ['an unknown scheme', 'ftp://example.com', SCHEME],
    ['a WebSocket scheme', 'wss://example.com', SCHEME],
    ['a file', 'file://example.com', SCHEME],
    ['an unknown system', 'pulsar:orders', SYSTEM],
    ['a host that looks like a system', 'localhost:3000', SYSTEM],
    ['a system alone', 'kafka:', SHAPE],
    ['a system with two slashes', 'kafka://orders', SCHEME],
  ])('%s', (_, text, reason) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(reason))
  })

  it.each([
    ['port 0', 'https://example.com:0'],
    ['a port above 65535', 'https://example.com:99999'],
    ['a port of letters', 'https://example.com:https'],
    ['a negative port', 'https://example.com:-1'],
    ['two ports', 'https://example.com:1:2'],
    ['an IPv6 address without brackets', 'https://::1'],
    ['an IPv6 address with a zone', 'https://[fe80::1%25eth0]'],
    ['an open bracket', 'https://[::1'],
    ['an address beyond its range', 'https://256.0.0.1'],
    ['a forbidden character', 'https://exa<mple.com'],
    ['an escaped slash', 'https://example.com%2fpath'],
    ['bad punycode', 'https://xn--\u00fc.example'],
  ])('%s', (_, text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(HOST))
  })

  it('a scheme that is a member of every object', () => {
    expect(() => parsePattern('constructor://example.com')).toThrow(new PatternError(SCHEME))
  })

  it('port 00', () => {
    expect(() => parsePattern('https://example.com:00')).toThrow(new PatternError(HOST))
  })

  it.each([
    'https://.example.com',
    'https://a..example.com',
    'https://*..example.com',
  ])('an empty label: %s', (text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(HOST))
  })
})

describe('refuses a * that stands for more than one label, or for part of one [F5]', () => {
  it.each([
    ['a part of a label', 'https://*a.example'],
    ['a part of a label before', 'https://a*.example'],
    ['an inner label', 'https://a.*.example'],
    ['the last label', 'https://example.*'],
    ['two labels', 'https://*.*.example.com'],
    ['a double *', 'https://**.example.com'],
    ['the whole host', 'https://*'],
    ['a port', 'https://example.com:*'],
  ])('%s', (_, text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(LABEL))
  })

  it.each([
    ['the scheme', '*://example.com'],
    ['a whole queue name', 'kafka:*'],
    ['the beginning of a queue name', 'kafka:*orders'],
    ['the middle of a queue name', 'kafka:or*ders'],
    ['a queue name twice', 'kafka:orders**'],
    ['a system', '*:orders'],
  ])('%s', (_, text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(SHAPE))
  })

  it.each([
    'https://*.127.0.0.1',
    'https://*.0.0.1',
    'https://*.1',
    'https://*.0x7f.1',
    'https://*.[::1]',
  ])('a label of an address: %s', (text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(ADDRESS))
  })
})

describe('refuses a wildcard on a public suffix [F5]', () => {
  it.each([
    'https://*.com',
    'https://*.COM',
    'https://*.co.uk',
    'https://*.example',
    'https://*.internal',
    'https://*.localhost',
    'https://*.github.io',
    'https://*.s3.amazonaws.com',
    'https://*.compute-1.amazonaws.com',
    'https://*.herokuapp.com',
    'https://*.рф',
    'https://*.xn--p1ai',
    'https://*.ck',
    'https://*.foo.ck',
    'https://*.kawasaki.jp',
    'grpcs://*.com',
  ])('%s', (text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(SUFFIX))
  })

  it.each(['https://*.com.', 'https://*.co.uk.', 'https://*.github.io.'])('%s', (text) => {
    expect(() => parsePattern(text)).toThrow(new PatternError(SUFFIX))
  })
})

it('the reason never repeats what was written', () => {
  for (const text of [
    'm4rk3r',
    'https://m4rk3r/',
    'https://m4rk3r:99999',
    'm4rk3r://a.example',
    'https://*m4rk3r.com',
  ]) {
    expect(() => parsePattern(text)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('m4rk3r') }),
    )
  }
})

describe('clear text is what others can read on the way [F3]', () => {
  it.each([
    ['http://profile.example', true],
    ['grpc://profile.example', true],
    ['http://10.0.0.1', true],
    ['http://0.0.0.0', true],
    ['http://[::ffff:127.0.0.1]', true],
    ['http://localhost.', true],
    ['http://localhost.example', true],
    ['http://*.internal.example', true],
    ['https://profile.example', false],
    ['grpcs://profile.example', false],
    ['http://localhost:3000', false],
    ['http://LOCALHOST', false],
    ['http://127.0.0.1', false],
    ['http://127.255.1.2:8080', false],
    ['http://[::1]:8080', false],
    ['grpc://localhost:50051', false],
    ['kafka:orders', false],
  ])('%s: %s', (text, cleartext) => {
    expect(isCleartext(parsePattern(text))).toBe(cleartext)
  })
})
