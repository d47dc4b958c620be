/** Values that are there now or come later: hot paths make no promise for what is there. */

export type Eventual<T> = T | Promise<T>

/** Calls `next` with `value`: at once if it is there, later if it is a promise. Errors pass through. */
export function chain<T, R>(value: Eventual<T>, next: (value: T) => Eventual<R>): Eventual<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
