/** Patches the prototypes of dispatchers, those of the application's own classes included. */

import { EventEmitter } from 'node:events'
import { symbolOf } from '../../base/own-property.ts'
import type { Undo } from '../../base/patch-method.ts'
import { combineUndos, patchOwnMethod } from '../../base/patch-method.ts'
import type { Close, Delays } from './delay.ts'
import type { Dispatch, DispatchWrapper } from './dispatch.ts'
import type { Compose } from './interceptors.ts'

export interface PrototypeWrappers {
  readonly wrapper: DispatchWrapper
  readonly delays: Delays
  readonly wrapCompose: (previous: Compose, prototype: object) => Compose
}

export class DispatcherPrototypes {
  readonly #wrappers: PrototypeWrappers
  readonly #undos = new Map<object, Undo>()
  #isActive = true

  constructor(wrappers: PrototypeWrappers) {
    this.#wrappers = wrappers
  }

  /** Patches `prototype` and every prototype that it inherits from, each of them once. */
  patch(prototype: object): void {
    for (let owner: object | null = prototype; owner !== null; owner = Object.getPrototypeOf(owner)) {
      if (owner !== Object.prototype && !this.#undos.has(owner)) this.#undos.set(owner, this.#patchOne(owner))
    }
  }

  /** A dispatcher that the relay sees for the first time may be of a new class, or have methods that no class has. */
  patchInstance(dispatcher: object): void {
    this.patch(Object.getPrototypeOf(dispatcher) as object)
    patchOwnMethod<Dispatch>(dispatcher, 'dispatch', (previous) => this.#wrappers.wrapper.wrapDispatch(previous))
    // undici 5 and 6 keep the inner method as it was when they first called it.
    const kept = symbolOf(dispatcher, 'Intercepted Dispatch')
    if (kept !== undefined) Reflect.deleteProperty(dispatcher, kept)
  }

  undo(): void {
    this.#isActive = false
    combineUndos([...this.#undos.values()])()
    this.#undos.clear()
  }

  #patchOne(owner: object): Undo {
    const { wrapper, delays, wrapCompose } = this.#wrappers
    return combineUndos([
      patchOwnMethod<Dispatch>(owner, 'dispatch', (previous) => wrapper.wrapDispatch(previous)),
      patchOwnMethod<Compose>(owner, 'compose', (previous) => wrapCompose(previous, owner)),
      Object.hasOwn(owner, 'dispatch') ? this.#watchClass(owner) : undefined,
      patchOwnMethod<Dispatch>(owner, symbolOf(owner, 'dispatch'), (previous) => wrapper.wrapInnerDispatch(previous)),
      patchOwnMethod<Close>(owner, symbolOf(owner, 'close'), (previous) => delays.wrapClose(previous)),
      patchOwnMethod<Close>(owner, symbolOf(owner, 'destroy'), (previous) => delays.wrapDestroy(previous)),
    ])
  }

  /**
   * Patches a class of the application that extends one of undici's before its first dispatch: when an instance is
   * made.
   */
  #watchClass(owner: object): Undo | undefined {
    const base = owner.constructor
    const isBase =
      Object.getPrototypeOf(owner) === EventEmitter.prototype && Object.getPrototypeOf(base) === EventEmitter
    if (!isBase) return undefined
    const patchNew = (dispatcher: object): void => {
      if (this.#isActive) this.patch(Object.getPrototypeOf(dispatcher) as object)
    }
    class WatchedEmitter extends EventEmitter {
      constructor(...args: []) {
        super(...args)
        patchNew(this)
      }
    }
    Object.setPrototypeOf(base, WatchedEmitter)
    return () => {
      if (Object.getPrototypeOf(base) === WatchedEmitter) Object.setPrototypeOf(base, EventEmitter)
    }
  }
}
