/** Keeps values for all copies of this package in this thread, also for those in another realm. */

import { EventEmitter } from 'node:events'

/**
 * Holds the values under symbols of `Symbol.for`. Not `globalThis`, of which a realm (a `vm` context, as Jest runs each
 * test file in one) has another; objects of Node's own modules are the same in all realms of a thread.
 */
export const sharedByCopies: object = EventEmitter

/** Sets a value of {@link sharedByCopies}. */
export function shareWithCopies(key: symbol, value: unknown): void {
  Object.defineProperty(sharedByCopies, key, { value, configurable: true, enumerable: false, writable: true })
}
