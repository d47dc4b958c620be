/** The ingress gate: a request waits here until its token is verified, and ends here if it is not. */

import { ensureContextManager } from '../context/context-manager.ts'
import type { CredentialSlot } from '../context/slot.ts'
import { createNotes } from '../token/notes.ts'
import type { SlotAdmission, SlotAdmitter } from './admission.ts'
import { enterSlot } from './enter.ts'
import type { Incoming } from './incoming.ts'
import { incomingOf } from './incoming.ts'
import { compilePublicPaths } from './public-path.ts'
import type { ResourceMetadata } from './resource-metadata.ts'
import type { Interceptor } from './server-events.ts'

/** `require`: no request without a valid token. `optional`: none is fine, a bad one is not. `off`: the gate stands open. */
export type IngressMode = 'require' | 'optional' | 'off'

export interface GateOptions {
  readonly mode: IngressMode
  readonly publicPaths: readonly string[]
  readonly allowPreflight: boolean
  /** Served where it is asked for. */
  readonly metadata: ResourceMetadata | undefined
  readonly admitter: SlotAdmitter
}

export function createGate({ mode, publicPaths, allowPreflight, metadata, admitter }: GateOptions): Interceptor {
  const isPublicPath = compilePublicPaths(publicPaths)
  const passed = createNotes<true>()
  const isPublic = (event: string, incoming: Incoming): boolean =>
    isPublicPath(incoming.target) || (allowPreflight && isPreflight(event, incoming))

  function admit(event: string, request: Waiting): void {
    const { incoming, slot } = request
    if (isPublic(event, incoming)) return letIn(request)
    const admission = admitter.admitSlot(slot, mode === 'optional' ? 'optional' : 'require')
    if (!(admission instanceof Promise)) return finish(request, admission)
    const release = incoming.guard()
    admission
      .then((decided) => {
        release()
        finish(request, decided)
      })
      .catch(rethrow)
  }

  function letIn({ incoming, proceed }: Waiting): void {
    passed.set(incoming.subject, true)
    proceed()
  }

  function finish(request: Waiting, admission: SlotAdmission): void {
    const { incoming } = request
    if (incoming.isGone()) return
    if (admission.admitted) return letIn(request)
    incoming.answer(admission.answer)
  }

  return (event, args, proceed) => {
    const incoming = incomingOf(event, args)
    // The HTTP/2 compatibility layer turns a `stream` that was let in into a `request`.
    if (passed.get(incoming.subject)) return proceed()
    const described = metadata?.answerTo(incoming.method, incoming.target)
    if (described !== undefined) return incoming.answer(described)
    if (mode === 'off') return proceed()

    ensureContextManager()
    const slot = admitter.slotOf(incoming)
    slot.endWith(incoming.lifetime)
    enterSlot(slot, incoming.emitters, () => admit(event, { incoming, slot, proceed }))
  }
}

/** A request in front of the gate. */
interface Waiting {
  readonly incoming: Incoming
  readonly slot: CredentialSlot
  readonly proceed: () => void
}

/** Fields that no preflight request has: a body, and what makes some servers read another method out of it. */
const NOT_IN_PREFLIGHT = ['transfer-encoding', 'expect', 'x-http-method', 'x-http-method-override', 'x-method-override']

/** A CORS preflight request (Fetch standard §4.8): browsers send it without credentials, whatever the request has. */
function isPreflight(event: string, { method, headers }: Incoming): boolean {
  // Never an upgrade, a tunnel, or an expectation.
  if (method !== 'OPTIONS' || (event !== 'request' && event !== 'stream')) return false
  const asks = Boolean(headers.origin) && Boolean(headers['access-control-request-method'])
  const isEmpty = Number(headers['content-length'] ?? 0) === 0
  return asks && isEmpty && NOT_IN_PREFLIGHT.every((name) => headers[name] === undefined)
}

/** What a listener of the application throws belongs to the process, as if no gate had been there. */
function rethrow(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
