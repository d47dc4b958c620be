/** Knows the handlers of undici: which answer one call, which share a response, and which handler is inside each. */

import { AsyncResource } from 'node:async_hooks'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { mainGlobal } from '../../base/main-realm.ts'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { isObject } from '../../base/own-property.ts'
import { patchOwnMethod } from '../../base/patch-method.ts'

/** Of the realm of Node's own undici, if this copy of the package runs in another one. */
const MainObject = Reflect.get(mainGlobal, 'Object') as ObjectConstructor

export type DispatchFunction = (options: unknown, handler: unknown) => unknown

export interface Handlers {
  /** Learns a class whose instances undici makes for one request each, around another handler. */
  learnOwn(handlerClass: HandlerClass): void
  /** Learns a class whose instances give a response to others than its caller. */
  learnSharing(handlerClass: HandlerClass): void
  /** Learns the classes of the handlers that the interceptors of a copy make: builds those that share nothing, once. */
  learnInterceptors(interceptors: Interceptors): void
  /** The handler inside `handler`; `undefined` if that is not known. */
  innerOf(handler: object): object | undefined
  /** The handler inside the adapter with which undici supports handlers of another version. */
  unwrapAdapter(handler: object): object
  shares(handler: object): boolean
  undo(): void
}

export type HandlerClass = new (...args: never[]) => object
export type Interceptors = Readonly<Record<string, unknown>>

export function createHandlers(): Handlers {
  const own = new WeakSet<object>()
  const sharing = new WeakSet<object>()
  const inner = createObjectMetadata<object>()
  const adapted = createObjectMetadata<object>()
  const undos: (() => void)[] = []

  function learnOwn(handlerClass: HandlerClass): void {
    if (own.has(handlerClass)) return
    own.add(handlerClass)
    undos.push(...watchAdapters(handlerClass, adapted.set), ...watchInner(handlerClass, inner.set))
  }

  return {
    learnOwn,
    learnSharing: (handlerClass) => void sharing.add(handlerClass),
    learnInterceptors(interceptors) {
      for (const handler of handlersOf(interceptors)) {
        const handlerClass = classOf(handler)
        if (handlerClass !== undefined) learnOwn(handlerClass)
      }
    },
    innerOf(handler) {
      const known = inner.get(handler) ?? adapted.get(handler)
      if (known !== undefined || !isInstanceOfOne(handler, own)) return known
      const value: unknown = Object.getOwnPropertyDescriptor(handler, 'handler')?.value
      return isObject(value) ? value : undefined
    },
    unwrapAdapter: (handler) => adapted.get(handler) ?? handler,
    shares: (handler) => isInstanceOfOne(handler, sharing),
    undo() {
      for (const undo of undos.splice(0)) undo()
    },
  }
}

/** An instance of a class that extends a known one is not known, nor is an object whose prototype is an instance. */
function isInstanceOfOne(handler: object, classes: WeakSet<object>): boolean {
  const handlerClass = classOf(handler)
  return handlerClass !== undefined && classes.has(handlerClass)
}

function classOf(handler: object): HandlerClass | undefined {
  const prototype = Object.getPrototypeOf(handler) as object | null
  const made: unknown = prototype?.constructor
  return typeof made === 'function' && made.prototype === prototype && made !== Object && made !== MainObject
    ? (made as unknown as HandlerClass)
    : undefined
}

type Remember = (outer: object, inner: object) => void

/** Most handlers keep the handler inside them in a private field, so the relay watches their construction. */
function watchInner(handlerClass: HandlerClass, remember: Remember): (() => void)[] {
  const parent = Object.getPrototypeOf(handlerClass) as HandlerClass
  if (!isDecorator(parent)) return []
  class WatchedHandler extends (parent as new (handler: object) => object) {
    static readonly [WATCHED] = true

    constructor(handler: object) {
      super(handler)
      if (isObject(handler)) remember(this, handler)
    }
  }
  Object.setPrototypeOf(handlerClass, WatchedHandler)
  const undo = (): void => {
    if (Object.getPrototypeOf(handlerClass) === WatchedHandler) Object.setPrototypeOf(handlerClass, parent)
  }
  return [undo]
}

/** Marks the classes that relays put in between: there may be several relays. */
const WATCHED = Symbol.for('otel-token-relay watched handler')

/** Whether `parent` extends no class, as undici's `DecoratorHandler`, whose constructor takes the handler. */
function isDecorator(parent: object): boolean {
  if (parent === Function.prototype) return false
  let each = parent
  while (Object.hasOwn(each, WATCHED)) each = Object.getPrototypeOf(each) as object
  return Object.getPrototypeOf(each) === Function.prototype
}

const ADAPTERS = ['wrap', 'unwrap', 'wrapHandler'] as const

function watchAdapters(handlerClass: HandlerClass, remember: Remember): (() => void)[] {
  return ADAPTERS.flatMap((name) => watchAdapter(handlerClass, name, remember))
}

type Adapt = (this: unknown, handler: unknown) => unknown

/** `wrap` of a class returns its argument, or an instance around it. */
function watchAdapter(owner: object, name: (typeof ADAPTERS)[number], remember: Remember): (() => void)[] {
  const undo = patchOwnMethod<Adapt>(
    owner,
    name,
    (previous) =>
      function (handler) {
        const made = previous.call(this, handler)
        if (made !== handler && isObject(made) && isObject(handler)) remember(made, handler)
        return made
      },
  )
  return undo === undefined ? [] : [undo]
}

/** The interceptors that give a response to its own caller only. */
const UNSHARED = ['retry', 'redirect', 'dump', 'dns', 'responseError', 'decompress'] as const
const LOOKUP = (_origin: unknown, _options: unknown, done: (error: null, found: object[]) => void): void =>
  done(null, [{ address: '127.0.0.1', family: 4, ttl: 1 }])

/** The handlers that each of them passes on when it is called with one. Nothing is sent. */
function handlersOf(interceptors: Interceptors): object[] {
  return UNSHARED.flatMap((name) => {
    const passed: object[] = []
    const given = { onRequestStart() {}, onConnect() {}, onError() {}, onResponseError() {} }
    const keep: DispatchFunction = (_options, handler) => {
      if (isObject(handler) && handler !== given) passed.push(handler)
      return true
    }
    try {
      const intercept = withoutWarnings(() =>
        Reflect.apply(interceptors[name] as () => unknown, interceptors, [PROBE_OPTIONS]),
      )
      const dispatch = (intercept as (dispatch: DispatchFunction) => DispatchFunction)(keep)
      dispatch({ origin: 'http://probe.invalid', path: '/', method: 'GET', headers: {} }, given)
    } catch {
      // This copy has no such interceptor.
    }
    return passed
  })
}

const PROBE_OPTIONS = { maxRedirections: 1, lookup: LOOKUP }

/** The application hears that an interceptor is experimental when it makes one itself, not from the relay. */
function withoutWarnings<T>(fn: () => T): T {
  const previous = process.emitWarning
  process.emitWarning = () => undefined
  try {
    return fn()
  } finally {
    process.emitWarning = previous
  }
}

/**
 * Whether undici has made `handler` for one call of its API or of `fetch`, so that the response goes to that caller
 * only. Looks at what survives a minifier: the names of classes do not.
 */
export function isCallHandler(handler: object): boolean {
  const prototype = Object.getPrototypeOf(handler) as object | null
  if (prototype === Object.prototype || prototype === MainObject.prototype)
    return Object.hasOwn(handler, 'abort') && Object.hasOwn(handler, 'body')
  return prototype !== null && isCallClass(prototype)
}

/** The answers for prototypes that were looked at. */
const callClasses = new WeakMap<object, boolean>()
const RESOURCE = /\bsuper\(\s*["'`]UNDICI_[A-Z]+["'`]\s*\)/

function isCallClass(prototype: object): boolean {
  let isCall = callClasses.get(prototype)
  if (isCall === undefined) {
    const made: unknown = prototype.constructor
    isCall =
      typeof made === 'function' &&
      made.prototype === prototype &&
      Object.getPrototypeOf(made) === AsyncResource &&
      RESOURCE.test(Function.prototype.toString.call(made))
    callClasses.set(prototype, isCall)
  }
  return isCall
}

const activeContext = (): Context => context.active()

/** The context that a call of undici's API was made in, which may not be the context that it is dispatched in. */
export function contextOfCall(handler: object): Context | undefined {
  return handler instanceof AsyncResource ? handler.runInAsyncScope(activeContext) : undefined
}
