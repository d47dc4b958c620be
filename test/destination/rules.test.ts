/** Which rule names a target. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePattern } from '../../src/destination/pattern.ts'
import type { Rules } from '../../src/destination/rules.ts'
import { compileRules } from '../../src/destination/rules.ts'
import { announcedTarget, originTarget } from '../../src/destination/target.ts'

function rulesOf(...patterns: readonly string[]): Rules {
  return compileRules(
    patterns.map((to) => ({
      to,
      pattern: parsePattern(to),
      seal: true,
      detached: 'withhold',
      maxHeaderBytes: 16_384,
      exchange: undefined,
    })),
  )
}

/** The pattern of the rule that matches an HTTP origin or an announced destination. */
function matchOf(rules: Rules, place: string): string | undefined {
  const target = place.startsWith('http') ? originTarget(new URL(place)) : announcedTarget(place)
  return target === undefined ? undefined : rules.match(target)?.to
}

describe('an exact rule', () => {
  const rules = rulesOf('https://profile.example', 'http://localhost:3000', 'https://[::1]:8443', 'grpcs://a.example')

  it.each([
    ['https://profile.example', 'https://profile.example'],
    ['https://profile.example:443/', 'https://profile.example'],
    ['https://PROFILE.example/path?query', 'https://profile.example'],
    ['https://user@profile.example', 'https://profile.example'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['https://[0:0:0:0:0:0:0:1]:8443', 'https://[::1]:8443'],
    ['grpcs://a.example', 'grpcs://a.example'],
    ['grpcs://a.example:443', 'grpcs://a.example'],
  ])('names %s', (place, to) => {
    expect(matchOf(rules, place)).toBe(to)
  })

  it.each([
    ['another scheme [F3]', 'http://profile.example'],
    ['another scheme on the same port [F3]', 'http://profile.example:443'],
    ['another port [F4]', 'https://profile.example:444'],
    ['a trailing dot [F4]', 'https://profile.example.'],
    ['a name below [F4]', 'https://a.profile.example'],
    ['the name above [F4]', 'https://example'],
    ['a name that begins so [F4]', 'https://profile.example.evil.example'],
    ['a name that ends so [F4]', 'https://evilprofile.example'],
    ['a homograph [F4]', 'https://pr\u043efile.example'],
    ['another spelling of this machine [F4]', 'http://127.0.0.1:3000'],
    ['a member of every object', 'https://constructor'],
    ['gRPC is not HTTP', 'grpcs://profile.example'],
    ['HTTP is not gRPC', 'https://a.example'],
  ])('does not name: %s', (_, place) => {
    expect(matchOf(rules, place)).toBeUndefined()
  })
})

describe('a wildcard for one label', () => {
  const rules = rulesOf(
    'https://*.internal.example',
    'https://billing.internal.example',
    'https://*.b.internal.example',
  )

  it.each([
    ['https://profile.internal.example', 'https://*.internal.example'],
    ['https://xn--mnchen-3ya.internal.example', 'https://*.internal.example'],
    ['https://b.internal.example', 'https://*.internal.example'],
    ['https://a.b.internal.example', 'https://*.b.internal.example'],
  ])('names %s', (place, to) => {
    expect(matchOf(rules, place)).toBe(to)
  })

  it('gives way to an exact rule', () => {
    expect(matchOf(rules, 'https://billing.internal.example')).toBe('https://billing.internal.example')
  })

  it.each([
    ['no label', 'https://internal.example'],
    ['an empty label', 'https://.internal.example'],
    ['two labels', 'https://a.profile.internal.example'],
    ['another port', 'https://profile.internal.example:8443'],
    ['another scheme', 'http://profile.internal.example'],
    ['a trailing dot', 'https://profile.internal.example.'],
    ['a name that begins so', 'https://profile.internal.example.evil.example'],
    ['a name that ends so', 'https://evilinternal.example'],
  ])('does not name: %s', (_, place) => {
    expect(matchOf(rules, place)).toBeUndefined()
  })
})

describe('a queue [F14]', () => {
  const rules = rulesOf(
    'kafka:orders',
    'kafka:orders.*',
    'kafka:orders.eu.*',
    'kafka:orders.eu.vip',
    'rabbitmq:tenant-1.*',
  )

  it.each([
    ['kafka:orders', 'kafka:orders'],
    ['kafka:orders.us', 'kafka:orders.*'],
    ['kafka:orders.eu.x', 'kafka:orders.eu.*'],
    ['kafka:orders.eu.vip', 'kafka:orders.eu.vip'],
    ['kafka:orders.eu.vip2', 'kafka:orders.eu.*'],
    ['rabbitmq:tenant-1.orders', 'rabbitmq:tenant-1.*'],
  ])('%s is named by %s: exact before wildcard, longer before shorter', (place, to) => {
    expect(matchOf(rules, place)).toBe(to)
  })

  it.each([
    ['another system', 'rabbitmq:orders'],
    ['another case', 'kafka:Orders'],
    ['a name that begins so', 'kafka:orders-evil'],
    ['a name that ends so', 'kafka:evil.orders'],
    ['another tenant', 'rabbitmq:tenant-10.orders'],
    ['a wildcard of the caller', 'kafka:orders.*'],
    ['a system alone', 'kafka:'],
  ])('is not named: %s', (_, place) => {
    expect(matchOf(rules, place)).toBeUndefined()
  })

  it('the order of the rules does not matter', () => {
    const patterns = ['kafka:a.b.*', 'kafka:a.*', 'kafka:*'.replace('*', 'a*')]
    fc.assert(
      fc.property(fc.shuffledSubarray(patterns, { minLength: 3 }), (shuffled) => {
        expect(matchOf(rulesOf(...shuffled), 'kafka:a.b.c')).toBe('kafka:a.b.*')
      }),
    )
  })
})

describe('exchanges and queues of RabbitMQ [F14]', () => {
  it.each([
    ['rabbitmq:orders', 'rabbitmq:orders'],
    ['rabbitmq:queues/orders', 'rabbitmq:orders'],
    ['rabbitmq:exchanges/orders', 'rabbitmq:orders'],
    ['rabbitmq:both', 'rabbitmq:queues/both'],
    ['rabbitmq:exchanges/both', 'rabbitmq:exchanges/both'],
    ['rabbitmq:queue', 'rabbitmq:queues/queue'],
    ['rabbitmq:exchanges/exchange', 'rabbitmq:exchanges/exchange'],
    ['rabbitmq:exchanges/orders.eu', 'rabbitmq:exchanges/orders.*'],
    ['rabbitmq:orders.eu', 'rabbitmq:orders.*'],
    ['rabbitmq:exchanges/orders.us.west', 'rabbitmq:orders.us.*'],
  ])('%s is named by %s: one kind before both, longer before shorter', (place, to) => {
    const patterns = [
      'rabbitmq:exchanges/orders.*',
      'rabbitmq:orders.us.*',
      'rabbitmq:orders.*',
      'rabbitmq:orders',
      'rabbitmq:queues/both',
      'rabbitmq:exchanges/both',
      'rabbitmq:both',
      'rabbitmq:queues/queue',
      'rabbitmq:exchanges/exchange',
    ]
    expect(matchOf(rulesOf(...patterns), place)).toBe(to)
    expect(matchOf(rulesOf(...patterns.toReversed()), place)).toBe(to)
  })

  it.each([
    ['the queue, if the exchange is named', 'rabbitmq:exchange', 'rabbitmq:exchanges/exchange'],
    ['the exchange, if the queue is named', 'rabbitmq:exchanges/queue', 'rabbitmq:queues/queue'],
    ['an exchange, if queues are named that begin like the word', 'rabbitmq:exchanges/orders', 'rabbitmq:exch*'],
    ['a topic of Kafka, which has no exchanges', 'kafka:exchanges/orders', 'kafka:orders'],
  ])('is not named: %s', (_, place, rule) => {
    expect(matchOf(rulesOf(rule), place)).toBeUndefined()
  })
})

it('no rules name nothing', () => {
  expect(matchOf(rulesOf(), 'https://profile.example')).toBeUndefined()
})
