/** Finds out whether a socket leads where a request says: every client that lets other code connect is judged by it. */

import type { ClientRequest } from 'node:http'
import { isIP, Socket } from 'node:net'
import { checkServerIdentity, TLSSocket } from 'node:tls'
import type { SocketTarget } from '../../context/isolation/socket-opening.ts'
import { recordedTargetOf } from '../../context/isolation/socket-opening.ts'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { networkTarget } from '../../destination/target.ts'
import type { WithholdReason } from '../../telemetry/events.ts'
import { validCertificateOf } from './certificates.ts'
import { isAnswerFor, isLookupOfNode } from './name-answers.ts'

/**
 * Why `socket`, which was opened as `opening` says, must not carry a token for `target`. It must lead to host and port
 * of `target`, and one of these must be true: Node has opened it and has found the address itself, or the certificate
 * of the peer is valid for the host.
 */
export function obstacleOn(
  socket: object,
  opening: SocketTarget | undefined,
  target: NetworkTarget,
): WithholdReason | undefined {
  if (opening === undefined) return 'custom_connection'
  if (opening.path && opening.nameInTunnel === undefined) return 'unix_socket'
  return leadsTo(socket, opening, target) ? undefined : 'custom_connection'
}

/**
 * How many bytes had been written to each connection when the last request on it was complete. Not a number while that
 * is not known, and for good after a request that has made a tunnel of it.
 */
const written = new WeakMap<SocketTarget, number>()

/**
 * The same for a connection of an agent, about to carry `request`. An agent may hand out a connection on which it has
 * said something between, for example to a proxy: what answers now may be another server. If `isTunnelRequest`, the
 * request itself makes such a connection of it.
 */
export function obstacleOnAgentSocket(
  request: ClientRequest,
  target: NetworkTarget,
  isTunnelRequest: boolean,
): WithholdReason | undefined {
  const { socket } = request
  const opening = socket === null ? undefined : recordedTargetOf(socket)
  if (!(socket instanceof Socket) || opening === undefined) return 'custom_connection'
  const isUntouched = socket.bytesWritten === (written.get(opening) ?? 0)
  written.set(opening, Number.NaN)
  if (!isUntouched) return 'custom_connection'
  if (!isTunnelRequest) request.once('finish', () => written.set(opening, socket.bytesWritten))
  return obstacleOn(socket, opening, target)
}

function leadsTo(socket: object, opening: SocketTarget, target: NetworkTarget): boolean {
  const { host, port, encrypted, nameInTunnel } = opening
  if (encrypted !== (target.scheme === 'https')) return false
  if (nameInTunnel === undefined)
    return isSame(host ?? 'localhost', port, target) && isAddressOf(socket, opening, target)
  // An agent need not say the port again to which its tunnel leads; the certificate is for the host.
  return isSame(nameInTunnel, port ?? target.port, target) && isProven(socket, target)
}

function isSame(host: unknown, port: unknown, target: NetworkTarget): boolean {
  const opened = networkTarget(target.scheme, host, port)
  return opened?.host === target.host && opened.port === target.port
}

/** Whether the address of the peer is one of the host, although a `lookup` of the application may have found it. */
function isAddressOf(socket: object, { lookup, encrypted }: SocketTarget, target: NetworkTarget): boolean {
  const host = nameOf(target)
  // Node looks up no address.
  if (lookup === undefined || isLookupOfNode(lookup) || isIP(host) !== 0) return true
  return encrypted ? isProven(socket, target) : socket instanceof Socket && isAnswerFor(host, socket.remoteAddress)
}

/** The name that the certificate of each peer has been found to prove. */
const proven = new WeakMap<object, string>()
/** As Node has it: the application may replace the exported one. */
const verifyName = checkServerIdentity

/**
 * Whether the peer has a certificate for the host of `target`. By its options Node may check no name, another one, or
 * none because it resumes a session; so the name is checked here.
 */
function isProven(socket: object, target: NetworkTarget): boolean {
  if (!(socket instanceof TLSSocket)) return false
  const host = nameOf(target)
  if (proven.get(socket) === host) return true
  const certificate = validCertificateOf(socket)
  if (certificate === undefined || verifyName(host, certificate) !== undefined) return false
  proven.set(socket, host)
  return true
}

function nameOf({ host }: NetworkTarget): string {
  return host.replace(/^\[|\]$/g, '')
}
