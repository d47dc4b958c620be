/** A certificate authority for one test run, and the certificates that servers and clients get from it. */

import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import * as x509 from '@peculiar/x509'

interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface Certificates extends Certificate {
  /** The authority's certificate, to be trusted by clients. */
  readonly ca: string
  /** Another certificate of the same authority, for a client that is called `name`. */
  client(name: string): Promise<Certificate>
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** For `localhost`, `127.0.0.1`, `::1` and `0.0.0.0`; valid from a minute ago for an hour. */
export async function createCertificates(): Promise<Certificates> {
  x509.cryptoProvider.set(crypto)
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
  const authority = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(8).toString('hex'),
    name: 'CN=Test authority',
    keys: authority,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    ...validity,
  })

  async function issue(name: string, extensions: x509.Extension[]): Promise<Certificate> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: randomBytes(8).toString('hex'),
      subject: `CN=${name}`,
      issuer: ca.subject,
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions,
      ...validity,
    })
    const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
    return {
      cert: certificate.toString('pem'),
      key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
    }
  }

  const names = new x509.SubjectAlternativeNameExtension([
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
    { type: 'ip', value: '::1' },
    { type: 'ip', value: '0.0.0.0' },
  ])
  return { ca: ca.toString('pem'), ...(await issue('localhost', [names])), client: (name) => issue(name, []) }
}
