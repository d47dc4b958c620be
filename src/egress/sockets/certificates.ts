/** Finds the certificate of a TLS peer, also if the connection has resumed a session, in which the peer shows none. */

import type { PeerCertificate } from 'node:tls'
import { TLSSocket } from 'node:tls'
import { isObject } from '../../base/own-property.ts'

/** The session that each connection should resume. */
const offered = new WeakMap<object, object>()
/** The certificate that the peer showed when each session began. */
const certificates = new WeakMap<object, PeerCertificate>()

/**
 * Remembers the sessions of a connection that `tls.connect` has opened with `options`. Only those matter whose peer
 * must prove its name: over a connection or to an address that other code has found.
 */
export function rememberSessions(socket: unknown, options: Readonly<Record<string, unknown>>): void {
  const { session, lookup, socket: carrier } = options
  if (!(socket instanceof TLSSocket) || (!carrier && lookup === undefined)) return
  if (isObject(session)) offered.set(socket, session)
  socket.on('session', (next: object) => {
    const certificate = validCertificateOf(socket)
    if (certificate !== undefined) certificates.set(next, certificate)
  })
}

/** The certificate of the peer; `undefined` if it is not valid, or not known. */
export function validCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  if (!socket.authorized) return undefined
  if (socket.isSessionReused()) {
    const session = offered.get(socket)
    return session && certificates.get(session)
  }
  const certificate: unknown = socket.getPeerCertificate()
  return isObject(certificate) && 'subject' in certificate ? (certificate as unknown as PeerCertificate) : undefined
}
