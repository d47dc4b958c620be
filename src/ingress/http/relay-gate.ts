/** When a relay has a gate: from its creation, from when its instrumentation is taken, or not at all. */

import process from 'node:process'
import { diag } from '@opentelemetry/api'
import type { Interceptor } from '../active-relay.ts'
import { isGated, setGated } from '../active-relay.ts'
import type { IngressMode } from './gate.ts'
import { joinTraces } from './instrumentation.ts'
import { interceptRequests } from './server-events.ts'

export interface RelayGate {
  /** What requests go through; `undefined` while the relay has no gate. */
  readonly intercept: Interceptor | undefined
  /** Whether it stands, and decides about every caller. */
  stands(): boolean
  /** The program wants it, by taking the instrumentation. */
  take(): void
  /** The relay is shut down: the gate stays, and is shut unless its mode is `report`. */
  leave(): void
}

/** `isModeExplicit`: whether the options say the mode, or leave it to the default. */
export function createRelayGate(mode: IngressMode, isModeExplicit: boolean, intercept: Interceptor): RelayGate {
  const isClosing = mode !== 'off'
  let isActive = true
  let stands = false

  function closeGate(): void {
    stands = true
    // In report mode requests pass, also when the relay is shut down.
    setGated(mode !== 'report')
    seeRequests()
    watchThreads()
  }
  if (!isClosing) setGated(false)
  // A relay takes over the gate of the one before.
  else if (isModeExplicit || isGated()) closeGate()

  return {
    get intercept() {
      return stands || !isClosing ? intercept : undefined
    },
    stands: () => stands && isActive,
    take() {
      if (!isActive) return
      if (isClosing) closeGate()
      else seeRequests()
    },
    leave() {
      isActive = false
    },
  }
}

/** Has the active relay see every request. It is asked within the spans of tracers. */
function seeRequests(): void {
  interceptRequests()
  joinTraces()
}

let isWatched = false

/**
 * Warns once if a worker thread starts without a gate. Preloaded programs need no warning: threads inherit the preload.
 */
function watchThreads(): void {
  if (isWatched || hasPreload()) return
  isWatched = true
  process.on('worker', onWorker)
}

function onWorker(): void {
  if (!isGated()) return
  process.off('worker', onWorker)
  diag.warn(
    'otel-token-relay: a worker thread was started. The gate stands in the thread that made the relay only: servers ' +
      'in other threads are not gated, unless the relay is preloaded (--require, --import), which threads inherit',
  )
}

function hasPreload(): boolean {
  const given = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)]
  return given.some((word) => /^(?:-r|--require|--import)(?:=|$)/.test(word))
}
