/** Observes registrations with the OpenTelemetry API, in any order and from any copy of the API. */

// All copies of @opentelemetry/api 1.x keep their registrations here. The first registration creates the object, never
// this file: its version must equal that of the API copy, so one made here could lock the application's SDK out.
const API = Symbol.for('opentelemetry.js.api.1')
const SIGNALS = ['trace', 'context', 'propagation', 'metrics', 'logs'] as const
type Signal = (typeof SIGNALS)[number]
type ApiGlobal = Partial<Record<Signal | 'diag' | 'version', unknown>>

export interface ApiGlobalObserver {
  /** Replaces a propagator that is being registered. */
  compose(propagator: unknown): unknown
  /** `signal` is registered already, and is about to be registered again. */
  onContested(signal: Signal): void
}

/** Starts observing. Returns a function that lists the signals that are registered when it is called. */
export function observeApiGlobal({ compose, onContested }: ApiGlobalObserver): () => readonly Signal[] {
  let api = Reflect.get(globalThis, API) as ApiGlobal | undefined
  // `registerGlobal` of the API writes the global before it reads the slot; other readers do not.
  let registering = false
  if (api !== undefined) installSlots(api)

  Object.defineProperty(globalThis, API, {
    configurable: true,
    enumerable: false,
    get: () => api,
    set(value: ApiGlobal | undefined) {
      registering = value !== undefined && value === api
      api = value
      if (value !== undefined) installSlots(value)
    },
  })

  function installSlots(target: ApiGlobal): void {
    for (const signal of SIGNALS) installSlot(target, signal)
    // Setting a logger registers too, but reads no slot: without this, the next read would pass for a registration.
    installSlot(target, 'diag')
  }

  /** Idempotent: `unregisterGlobal` deletes a slot, and with it the accessor. */
  function installSlot(target: ApiGlobal, name: Signal | 'diag'): void {
    const existing = Object.getOwnPropertyDescriptor(target, name)
    if (existing?.get !== undefined) return
    let value = name === 'propagation' && target[name] !== undefined ? compose(target[name]) : target[name]
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: true,
      get() {
        if (!registering) return value
        registering = false
        if (value !== undefined && name !== 'diag') onContested(name)
        return value
      },
      set(next: unknown) {
        registering = false
        value = name === 'propagation' && next !== undefined ? compose(next) : next
      },
    })
  }

  return () => SIGNALS.filter((signal) => api?.[signal] !== undefined)
}

/** Empties a slot, so that another SDK can register there. */
export function clearSlot(signal: Signal): void {
  const api = Reflect.get(globalThis, API) as ApiGlobal | undefined
  if (api !== undefined) api[signal] = undefined
}
