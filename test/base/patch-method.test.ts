/** A method that the relay replaces works as before for other code, and is put back as it was. */

import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { combineUndos, patchMethod, patchOwnMethod } from '../../src/base/patch-method.ts'

type Greet = (this: unknown, name: string) => string

class Base {
  greet(name: string): string {
    return `hello ${name}`
  }
}
class Derived extends Base {}

const shout = (owner: object): (() => void) =>
  patchMethod<Greet>(
    owner,
    'greet',
    (previous, patch) =>
      function (name) {
        return patch.isActive ? previous.call(this, name).toUpperCase() : previous.call(this, name)
      },
  )

describe('patchMethod', () => {
  it('replaces a method, and puts back its property as it was', () => {
    const before = Object.getOwnPropertyDescriptor(Base.prototype, 'greet')
    const undo = shout(Base.prototype)
    expect(new Base().greet('alice')).toBe('HELLO ALICE')
    expect(Object.getOwnPropertyDescriptor(Base.prototype, 'greet')?.enumerable).toBe(false)
    undo()
    expect(Object.getOwnPropertyDescriptor(Base.prototype, 'greet')).toEqual(before)
  })

  it('leaves no own property if a method was inherited', () => {
    const undo = shout(Derived.prototype)
    expect(new Base().greet('alice')).toBe('hello alice')
    expect(new Derived().greet('alice')).toBe('HELLO ALICE')
    undo()
    expect(Object.hasOwn(Derived.prototype, 'greet')).toBe(false)
  })

  it('leaves in place what has replaced the method since, and has no effect in it', () => {
    const owner = new Base()
    const undo = shout(owner)
    const patched = owner.greet.bind(owner)
    const later = (name: string): string => `${patched(name)}!`
    owner.greet = later
    undo()
    expect(owner.greet).toBe(later)
    expect(owner.greet('alice')).toBe('hello alice!')
  })

  it('keeps the name, the length and the promise form of a function', async () => {
    const greet = (_: string, done: () => void): void => done()
    Object.defineProperty(greet, promisify.custom, { value: async (name: string) => `promised ${name}` })
    const owner = { greet }
    patchMethod<(...args: unknown[]) => void>(owner, 'greet', () => () => undefined)
    expect([owner.greet.name, owner.greet.length]).toEqual(['greet', 2])
    expect(await promisify(owner.greet)('alice')).toBe('promised alice')
  })

  it('does not pass for a wrapper of shimmer, through which other code could go round it', () => {
    const greet = Object.assign((name: string) => name, { __wrapped: true, __unwrap: () => undefined, __original: 1 })
    const owner = { greet }
    shout(owner)
    expect(Object.keys(owner.greet)).toEqual([])
  })

  it('does nothing if there is no such method', () => {
    const owner = { greet: 'no function' }
    shout(owner)()
    shout({})()
    expect(owner).toEqual({ greet: 'no function' })
  })
})

describe('patchOwnMethod', () => {
  it('replaces no method that is inherited or cannot be written', () => {
    const replace = (): Greet => () => 'replaced'
    expect(patchOwnMethod<Greet>(new Derived(), 'greet', replace)).toBeUndefined()
    expect(patchOwnMethod<Greet>(Object.freeze({ greet: () => 'frozen' }), 'greet', replace)).toBeUndefined()
    expect(patchOwnMethod<Greet>({}, undefined, replace)).toBeUndefined()
  })
})

it('combined undos run in reverse', () => {
  const undone: number[] = []
  combineUndos([() => undone.push(1), undefined, () => undone.push(2)])()
  expect(undone).toEqual([2, 1])
})
