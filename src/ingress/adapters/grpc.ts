/** The adapter for gRPC servers: interceptors of `@grpc/grpc-js` that authenticate, and ask for scopes and roles. */

import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type {
  Metadata,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
} from '@grpc/grpc-js'
import { answerFor } from '../../token/challenge.ts'
import { UndecidedError } from '../../token/errors.ts'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import { activeRelay } from '../active-relay.ts'
import type { Admission, AdmissionOptions, Admitted, Refused } from '../admitter.ts'
import { grpcStatusOf } from '../http/incoming.ts'
import { observeRequests } from '../http/server-events.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

/** Scopes by the full name of a method: `{ '/profiles.Profiles/GetProfile': ['profiles:read'] }`. */
export type MethodScopes = Readonly<Record<string, readonly NameOrAnyOf[]>>

/** Roles by the full name of a method: `{ '/profiles.Profiles/DeleteProfile': ['admin'] }`. */
export type MethodRoles = Readonly<Record<string, readonly NameOrAnyOf[]>>

/**
 * An interceptor for `new Server({ interceptors: [authenticate()] })`. Lets a call pass that has a valid token in its
 * `authorization` metadata, or in what `ingress.header` names: the handler, and all listeners of its streams, run as
 * the caller (`getActiveCredential()`). Other calls end with UNAUTHENTICATED, or UNAVAILABLE if the token cannot be
 * checked, and no handler runs.
 *
 * Works with the gate in front, which has verified the token by then, and without. The token is checked when the call
 * begins: a stream may outlive it. If no relay is active every call ends with UNAVAILABLE.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export function authenticate(options?: AdmissionOptions): ServerInterceptor {
  const requirement = requirementOf(options)
  return interceptorFor(() => requirement)
}

/**
 * An interceptor that lets a caller pass whose token has all `scopes`, and one of those in `{ anyOf: […] }`; others end
 * with PERMISSION_DENIED. Scopes for all methods of the server, or by method: one that is not named is not touched.
 * Verifies the token as `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no scope, something that is none, or a name that does not begin with a slash.
 */
export function requireScope(scopesByMethod: MethodScopes): ServerInterceptor
export function requireScope(...scopes: readonly NameOrAnyOf[]): ServerInterceptor
export function requireScope(...given: readonly (NameOrAnyOf | MethodScopes)[]): ServerInterceptor {
  return interceptorOf(given, requirementOfScopes)
}

/**
 * An interceptor that lets a caller pass whose token has all `roles`, and one of those in `{ anyOf: […] }`; others end
 * with PERMISSION_DENIED. For all methods of the server, or by method, as {@link requireScope}. Roles are in the claims
 * that `roleClaims` of the issuer names.
 *
 * @throws TypeError if there is no role, something that is none, or a name that does not begin with a slash.
 */
export function requireRole(rolesByMethod: MethodRoles): ServerInterceptor
export function requireRole(...roles: readonly NameOrAnyOf[]): ServerInterceptor
export function requireRole(...given: readonly (NameOrAnyOf | MethodRoles)[]): ServerInterceptor {
  return interceptorOf(given, requirementOfRoles)
}

function interceptorOf(
  given: readonly (NameOrAnyOf | MethodScopes)[],
  requirementFrom: (names: readonly NameOrAnyOf[]) => Requirement,
): ServerInterceptor {
  const [first] = given
  if (given.length !== 1 || typeof first !== 'object' || Object.hasOwn(first, 'anyOf')) {
    const requirement = requirementFrom(given as readonly NameOrAnyOf[])
    return interceptorFor(() => requirement)
  }
  const byMethod = new Map(Object.entries(first as MethodScopes).map(([name, names]) => [name, requirementFrom(names)]))
  const isNamed = byMethod.size > 0 && [...byMethod.keys()].every((name) => name.startsWith('/'))
  if (!isNamed) throw new TypeError('expected full names of methods, such as /package.Service/Method')
  return interceptorFor((path) => byMethod.get(path))
}

function interceptorFor(requirementFor: (path: string) => Requirement | undefined): ServerInterceptor {
  joinRepeatedFields()
  return ({ path }, call) => {
    const requirement = requirementFor(path)
    return (requirement === undefined ? call : guard(call, requirement)) as ServerInterceptingCall
  }
}

/** `call`, but for its start. A class of grpc-js would have to come from the application's copy of it. */
function guard(call: ServerInterceptingCallInterface, requirement: Requirement): ServerInterceptingCallInterface {
  const start = (listener: Listener): void => call.start(guardListener(listener, call, requirement))
  return new Proxy(call, {
    get(target, name) {
      if (name === 'start') return start
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0]

/** `waiting` becomes `admitted` or `over`, and `admitted` becomes `over`. */
type State =
  | { readonly name: 'waiting'; readonly events: (() => void)[] }
  | { readonly name: 'admitted'; readonly run: Admitted['run'] }
  | { readonly name: 'over' }

/** Passes on what comes in, as the caller and once the caller is known; nothing if the call is refused. */
function guardListener(listener: Listener, call: ServerInterceptingCallInterface, requirement: Requirement): Listener {
  const lifetime = new EventEmitter()
  let state: State = { name: 'waiting', events: [] }

  function receive(event: () => void): void {
    if (state.name === 'waiting') state.events.push(event)
    else if (state.name === 'admitted') state.run(event)
  }

  function conclude(admission: Admission, metadata: Metadata): void {
    if (state.name !== 'waiting') return
    const { events } = state
    if (admission.admitted) {
      state = { name: 'admitted', run: admission.run }
      events.forEach(receive)
    } else {
      state = { name: 'over' }
      refuse(call, admission, metadata)
    }
  }

  return {
    onReceiveMetadata(metadata) {
      receive(() => listener.onReceiveMetadata(metadata))
      const admission = admissionOf(metadata, lifetime, requirement)
      if (admission instanceof Promise) void admission.then((decided) => conclude(decided, metadata))
      else conclude(admission, metadata)
    },
    onReceiveMessage: (message) => receive(() => listener.onReceiveMessage(message)),
    onReceiveHalfClose: () => receive(() => listener.onReceiveHalfClose()),
    // Comes at the end of every call, cancelled or not.
    onCancel() {
      const before = state
      state = { name: 'over' }
      lifetime.emit('close')
      if (before.name === 'admitted') before.run(() => listener.onCancel())
      else listener.onCancel()
    },
  }
}

function admissionOf(
  metadata: Metadata,
  lifetime: EventEmitter,
  requirement: Requirement,
): Admission | Promise<Admission> {
  try {
    const { tokenField } = activeRelay()
    const values = metadata.get(tokenField).map(String)
    // More than one is a list, and a list is no token.
    const headers = values.length === 0 ? {} : { [tokenField]: values.join(', ') }
    return admit({ headers, lifetime }, requirement)
  } catch {
    const error = new UndecidedError('ERR_TOKEN_UNDECIDED')
    return { admitted: false, error, answer: answerFor(error) }
  }
}

/** The fields of an HTTP answer that mean something to a client of gRPC, too. */
const TRAILERS = ['www-authenticate', 'retry-after']

function refuse(call: ServerInterceptingCallInterface, { answer }: Refused, received: Metadata): void {
  const trailers = new (received.constructor as new () => Metadata)()
  for (const name of TRAILERS) {
    const value = answer.headers[name]
    if (value !== undefined) trailers.set(name, value)
  }
  call.sendStatus({ code: grpcStatusOf(answer.status), details: answer.reason, metadata: trailers })
}

let joinsFields = false

/**
 * Shows gRPC every `authorization` field of a call, where Node would hand it the first one only. Joins repeated fields
 * as a list, which is no token (RFC 9110 §5.3): a client that sent two may have had another one checked by a proxy in
 * front. Only calls of gRPC are looked at. Stays for the life of the process.
 */
function joinRepeatedFields(): void {
  if (joinsFields) return
  joinsFields = true
  observeRequests((event, args) => {
    if (event === 'stream') joinAuthorization(args[1] as IncomingHttpHeaders, args[3])
  })
}

function joinAuthorization(headers: IncomingHttpHeaders, rawHeaders: unknown): void {
  if (!Array.isArray(rawHeaders) || !headers['content-type']?.startsWith('application/grpc')) return
  const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1] === 'authorization')
  if (values.length > 1) headers.authorization = values.join(', ')
}
