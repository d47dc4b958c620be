/** A certificate for the loopback interface, made in the process: DER by hand, because Node.js makes none. */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface Certificate {
  /** PEM (PKCS #8). */
  readonly key: string
  /** PEM. Clients that trust it as an authority accept the server. */
  readonly cert: string
}

const [BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID, UTF8, SEQUENCE, SET, UTC_TIME] = [
  0x01, 0x02, 0x03, 0x04, 0x06, 0x0c, 0x30, 0x31, 0x17,
]
const [VERSION, EXTENSIONS] = [0xa0, 0xa3]
/** `dNSName` and `iPAddress` of a GeneralName (RFC 5280 §4.2.1.6). */
const [DNS_NAME, IP_ADDRESS] = [0x82, 0x87]

const OIDS = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  basicConstraints: '551d13',
  subjectAltName: '551d11',
} as const

/** It is long: fake timers may say that it is any time of this half of the century. The key dies with the process. */
const VALIDITY = ['000101000000Z', '491231235959Z'] as const

const LOOPBACK_V6 = Buffer.from([...Array<number>(15).fill(0), 1])

/** For `localhost`, `127.0.0.1` and `::1`, signed by itself (RFC 5280). */
export function createCertificate(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = der(SEQUENCE, oid('ecdsaWithSha256'))
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid('commonName'), der(UTF8, 'otel-token-relay test'))))
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)])
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, serial),
    algorithm,
    name,
    der(SEQUENCE, ...VALIDITY.map((time) => der(UTC_TIME, time))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, der(SEQUENCE, authority(), loopbackNames())),
  )
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)])
  const certificate = der(SEQUENCE, body, algorithm, der(BIT_STRING, signature))
  return { cert: pem(certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

function authority(): Buffer {
  const value = der(SEQUENCE, der(BOOLEAN, Buffer.from([0xff])))
  return der(SEQUENCE, oid('basicConstraints'), der(BOOLEAN, Buffer.from([0xff])), der(OCTET_STRING, value))
}

function loopbackNames(): Buffer {
  const names = der(
    SEQUENCE,
    der(DNS_NAME, 'localhost'),
    der(IP_ADDRESS, Buffer.from([127, 0, 0, 1])),
    der(IP_ADDRESS, LOOPBACK_V6),
  )
  return der(SEQUENCE, oid('subjectAltName'), der(OCTET_STRING, names))
}

function oid(name: keyof typeof OIDS): Buffer {
  return der(OID, Buffer.from(OIDS[name], 'hex'))
}

/** Tag, length and contents (X.690 §8.1). */
function der(tag: number, ...contents: readonly (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(contents.map((part) => Buffer.from(part as string)))
  const { length } = content
  const bytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...bytes]), content])
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
