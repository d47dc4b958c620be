/** The ingress gate: a request waits here until its token is verified, and ends here if it is not. */

import type { EventEmitter } from 'node:events'
import type { Context, Span } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { ensureContextManager } from '../context/context-manager.ts'
import { getSlot, setSlot } from '../context/credential-context.ts'
import type { CredentialSlot, SlotState } from '../context/slot.ts'
import type { RelayPropagator } from '../propagation/propagator.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { answerFor } from '../token/challenge.ts'
import type { TokenError } from '../token/errors.ts'
import { TokenRejectedError } from '../token/errors.ts'
import type { Verifier } from '../verification/verifier.ts'
import type { Incoming } from './incoming.ts'
import { incomingOf } from './incoming.ts'
import { compilePublicPaths } from './public-path.ts'
import type { Interceptor } from './server-events.ts'

/** `require`: no request without a valid token. `optional`: none is fine, a bad one is not. `off`: the gate stands open. */
export type IngressMode = 'require' | 'optional' | 'off'

export interface GateOptions {
  readonly mode: IngressMode
  readonly publicPaths: readonly string[]
  /** See `ingress.resourceMetadata` of the options. */
  readonly resourceMetadata: string | undefined
  readonly propagator: RelayPropagator
  readonly verifier: Verifier
}

export function createGate(options: GateOptions): Interceptor {
  const { mode, publicPaths, resourceMetadata, propagator, verifier } = options
  const isPublic = compilePublicPaths(publicPaths)
  const passed = new WeakSet<object>()

  return (event, args, proceed) => {
    const incoming = incomingOf(event, args)
    // The HTTP/2 compatibility layer turns a `stream` that was let in into a `request`.
    if (mode === 'off' || passed.has(incoming.subject)) return proceed()
    ensureContextManager()

    const slot = slotOf(incoming, propagator)
    enter(incoming, slot, () => {
      const span = trace.getActiveSpan()
      if (isPublic(incoming.target)) return letIn()
      const received = slot.state.status !== 'absent'
      if (received) recordOnSpan(span, { name: 'auth.token.received' })
      const state = slot.settle(verifier)
      if (!(state instanceof Promise)) return finish(state)
      const release = incoming.guard()
      state
        .then((settled) => {
          release()
          finish(settled)
        })
        .catch(rethrow)
    })

    function letIn(): void {
      passed.add(incoming.subject)
      proceed()
    }

    function finish(state: SlotState): void {
      if (incoming.isGone()) return
      const span = trace.getActiveSpan()
      const error = refusalOf(state)
      if (error === undefined) {
        recordVerified(span, state)
        return letIn()
      }
      recordOnSpan(span, { name: 'auth.token.rejected', code: error.code })
      incoming.answer(answerFor(error, resourceMetadata))
    }
  }

  function refusalOf(state: SlotState): TokenError | undefined {
    if (state.status === 'rejected') return state.error
    return state.status === 'absent' && mode === 'require' ? new TokenRejectedError('ERR_TOKEN_MISSING') : undefined
  }
}

function recordVerified(span: Span | undefined, state: SlotState): void {
  if (state.status === 'verified') recordOnSpan(span, { name: 'auth.token.verified', credential: state.credential })
}

/** The slot of this very request: from the extraction of an instrumentation, or from our own where there was none. */
function slotOf(incoming: Incoming, propagator: RelayPropagator): CredentialSlot {
  const values = authorizationLines(incoming.rawHeaders)
  const authorization = incoming.headers.authorization
  const slot = propagator.slotOf(incoming.headers) ?? propagator.extractHeaders(incoming.headers, authorization)
  // `headers` shows the first of two lines; whoever sent two may have had another one checked.
  if (values > 1) slot.reject(new TokenRejectedError('ERR_TOKEN_REQUEST'))
  return slot
}

function authorizationLines(rawHeaders: readonly string[]): number {
  let lines = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 13 && name.toLowerCase() === 'authorization') lines += 1
  }
  return lines
}

/** What a listener of the application throws belongs to the process, as if no gate had been there. */
function rethrow(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}

/** Runs `fn`, and all that the application will attach to the request, in a context that holds `slot`. */
function enter(incoming: Incoming, slot: CredentialSlot, fn: () => void): void {
  const active = context.active()
  const extracted = getSlot(active) === slot || (slot.state.status === 'absent' && getSlot(active) === undefined)
  if (extracted) return fn()
  const ctx = setSlot(active, slot)
  for (const emitter of incoming.emitters) bindEmitter(ctx, emitter)
  context.with(ctx, fn)
}

function bindEmitter(ctx: Context, emitter: EventEmitter): void {
  // Node resets `on` of an upgraded socket at its first call (`socketListenerWrap`), which would undo the binding.
  const ignore = (): void => undefined
  emitter.on('removeListener', ignore)
  emitter.off('removeListener', ignore)
  // An instrumentation may have bound the emitter to its own context without ours (a path it ignores, no propagator).
  // OpenTelemetry's context manager binds an emitter once only, unless this mark of it is gone.
  const mark = Object.getOwnPropertySymbols(emitter).find(({ description }) => description === 'OtListeners')
  if (mark !== undefined) Reflect.deleteProperty(emitter, mark)
  context.bind(ctx, emitter)
}
