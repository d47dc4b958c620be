/** Watches what is registered with the OpenTelemetry API, by whom, in any order and from any copy of it. */

// Where all copies of @opentelemetry/api 1.x keep what was registered. Creating it is left to whoever registers first:
// its version must equal theirs exactly, so one made by us could lock the application's own SDK out.
const API = Symbol.for('opentelemetry.js.api.1')
const SIGNALS = ['trace', 'context', 'propagation', 'metrics', 'logs'] as const
type Signal = (typeof SIGNALS)[number]
type ApiGlobal = Partial<Record<Signal | 'diag' | 'version', unknown>>

export interface ApiGlobalObserver {
  /** Replaces a propagator that is being registered. */
  compose(propagator: unknown): unknown
  /** Somebody is about to register `signal`, which has been registered already. */
  onContested(signal: Signal): void
}

/** Starts observing. Returns which signals are registered now. */
export function observeApiGlobal({ compose, onContested }: ApiGlobalObserver): () => readonly Signal[] {
  let api = Reflect.get(globalThis, API) as ApiGlobal | undefined
  // `registerGlobal` of the API writes the global before it looks at the slot; mere readers do not.
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
    // Setting a logger registers too, but reads no slot: it must not pass for a registration of the next one read.
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

/** Empties a slot, so that somebody else can register there. */
export function clearSlot(signal: Signal): void {
  const api = Reflect.get(globalThis, API) as ApiGlobal | undefined
  if (api !== undefined) api[signal] = undefined
}
