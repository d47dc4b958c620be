/** Which request targets are open without a token: those that can be read in one way only. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compilePublicPaths } from '../../src/ingress/http/public-path.ts'

const isPublic = compilePublicPaths(['/health', '/a/b/public/*', '/*.html'])

describe('open', () => {
  it.each([
    '/health',
    '/health?verbose=1',
    '/health?next=/../secret',
    '/a/b/public/logo.svg',
    '/a/b/public/css/site.css?v=1',
    '/a/b/public/..logo',
    '/a/b/public/logo..svg',
    '/a/b/public/.well-known',
    '/*.html',
    '/a/b/public/',
    '/a/b/public/?x',
  ])('%s', (target) => {
    expect(isPublic(target)).toBe(true)
  })
})

describe('not open [E14]', () => {
  it.each([
    ['another path', '/secret'],
    ['the root', '/'],
    ['a path below an exact one', '/health/secret'],
    ['an exact one with a slash', '/health/'],
    ['an exact one in another case', '/HEALTH'],
    ['a path that begins like an exact one', '/healthy'],
    ['an exact one that would have to be decoded', '/%68ealth'],
    ['an exact one with a parameter', '/health;x=1'],
    ['an exact one with a fragment', '/health#x'],
    ['an exact one after two slashes', '//health'],
    ['an exact one after a dot', '/./health'],
    ['an exact one after a backslash', '\\health'],
    ['an absolute target (RFC 9112 §3.2.2)', 'http://service/health'],
    ['an authority target', 'health:443'],
    ['an asterisk target', '*'],
    ['no target', ''],
    ['a query alone', '?/health'],
    ['the prefix without its slash', '/a/b/public'],
    ['a path that begins like the prefix', '/a/b/publicity'],
    ['a name that only looks like a pattern', '/index.html'],
  ])('%s: %s', (_, target) => {
    expect(isPublic(target)).toBe(false)
  })
})

describe('a path below a public one is not open where another router could read it as a path elsewhere [E14]', () => {
  it.each([
    ['a parent', '/a/b/public/../secret'],
    ['a parent at the end', '/a/b/public/..'],
    ['a parent before a query', '/a/b/public/..?x'],
    ['a dot', '/a/b/public/./x'],
    ['an escaped parent', '/a/b/public/%2e%2e/secret'],
    ['a half escaped parent', '/a/b/public/.%2E/secret'],
    ['an escaped slash', '/a/b/public/..%2fsecret'],
    ['an escaped backslash', '/a/b/public/..%5csecret'],
    ['a twice escaped parent', '/a/b/public/%252e%252e/secret'],
    ['any escape', '/a/b/public/%61'],
    ['a backslash', '/a/b/public/..\\secret'],
    ['a parameter', '/a/b/public/..;/secret'],
    ['a parameter in a name', '/a/b/public/x;y'],
    ['two slashes', '/a/b/public//evil'],
    ['two slashes at the beginning', '//a/b/public/x'],
  ])('%s: %s', (_, target) => {
    expect(isPublic(target)).toBe(false)
  })

  it.each([
    ['a parent before a fragment', '/a/b/public/..#'],
    ['a parent before a fragment that looks like a path', '/a/b/public/..#/logo.svg'],
    ['a tab in a parent', '/a/b/public/.\t./secret'],
    ['a line break in a parent', '/a/b/public/.\n./secret'],
  ])('%s: %j', (_, target) => {
    expect(isPublic(target)).toBe(false)
  })
})

describe('grpc.health.v1.Health', () => {
  const isHealth = compilePublicPaths(['grpc.health.v1.Health'])

  it.each(['Check', 'List', 'Watch'])('opens its method %s', (method) => {
    expect(isHealth(`/grpc.health.v1.Health/${method}`)).toBe(true)
  })

  it.each([
    'grpc.health.v1.Health',
    '/grpc.health.v1.Health',
    '/grpc.health.v1.Health/',
    '/grpc.health.v1.Health/Set',
    '/grpc.health.v1.Health/check',
    '/grpc.health.v1.HealthX/Check',
    '/a.grpc.health.v1.Health/Check',
    '/grpc.health.v1.Health/Check/x',
  ])('opens nothing else: %s [E14]', (target) => {
    expect(isHealth(target)).toBe(false)
  })
})

it('no public paths open nothing', () => {
  const none = compilePublicPaths([])
  expect(['/', '', '*', '/health'].map(none)).toEqual([false, false, false, false])
})

it('/* opens every path, and still no doubtful one', () => {
  const all = compilePublicPaths(['/*'])
  expect(['/', '/x', '/x/y?z'].map(all)).toEqual([true, true, true])
  expect(['/../x', '//x', '/%2e', 'http://service/x', '*'].map(all)).toEqual([false, false, false, false, false])
})

it('for every target: what is open stays below the public path, however it is read', () => {
  const piece = fc.oneof(
    fc.constantFrom('..', '.', '/', '//', '\\', '%2e', '%2f', '%5c', ';', '?', '#', '\t', 'secret', 'x'),
    fc.string({ maxLength: 3 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const target = `/a/b/public/${pieces.join('')}`
      if (!isPublic(target)) return
      for (const read of [target, target.replaceAll('\\', '/'), safeDecode(target)]) {
        expect(new URL(`http://service${read}`).pathname.startsWith('/a/b/public/')).toBe(true)
      }
    }),
    { numRuns: 5_000, examples: [[['..', '#']]] },
  )
})

function safeDecode(target: string): string {
  try {
    return decodeURIComponent(target)
  } catch {
    return target
  }
}
