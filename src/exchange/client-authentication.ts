/** How this service proves to a token endpoint which client it is. */

import type { webcrypto } from 'node:crypto'
import { createPrivateKey } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { JWK } from 'jose'
import { importJWK, importPKCS8 } from 'jose'
import type { ClientAuth } from 'oauth4webapi'
import { ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, TlsClientAuth } from 'oauth4webapi'
import type { RotatedFile } from './file.ts'
import { openRotatedFile } from './file.ts'
import type { ClientSettings } from './settings.ts'

export interface ClientCredentials {
  /** For the next request: what it proves itself with may have been rotated since the last one. */
  authentication(): Promise<ClientAuth>
  /** Certificate, key and authorities for the connection; the same object until one of them changes. */
  tls(): SecureContextOptions
}

/** Reads every file once, so that a wrong path is found at start. */
export function createClientCredentials(settings: ClientSettings): ClientCredentials {
  const authentication = authenticationFor(settings)
  return { authentication, tls: tlsFor(settings) }
}

function authenticationFor(settings: ClientSettings): () => Promise<ClientAuth> {
  switch (settings.clientAuthentication) {
    case 'client_secret_basic':
      return withSecret(settings, ClientSecretBasic)
    case 'client_secret_post':
      return withSecret(settings, ClientSecretPost)
    case 'private_key_jwt':
      return withPrivateKey(settings)
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return async () => TlsClientAuth()
  }
}

function withSecret(
  { clientSecret, clientSecretFile }: ClientSettings,
  create: (secret: string) => ClientAuth,
): () => Promise<ClientAuth> {
  if (clientSecretFile === undefined) return async () => create(clientSecret ?? '')
  const file = openRotatedFile(clientSecretFile)
  file.read()
  // Files that hold one line tend to end it.
  return async () => create(file.read().toString().trim())
}

function withPrivateKey({ privateKeyFile = '', keyId }: ClientSettings): () => Promise<ClientAuth> {
  const file = openRotatedFile(privateKeyFile)
  file.read()
  return async () => {
    const { key, kid } = await importPrivateKey(file.read().toString())
    const named = keyId ?? kid
    return PrivateKeyJwt(named === undefined ? key : { key, kid: named })
  }
}

/** A JWK, or PEM in one of the usual wrappings. The algorithm follows from the key. */
async function importPrivateKey(text: string): Promise<{ key: webcrypto.CryptoKey; kid?: string | undefined }> {
  if (text.trimStart().startsWith('{')) {
    const jwk = JSON.parse(text) as JWK
    const alg = jwk.alg ?? algorithmFor(jwk.kty ?? '', jwk.crv)
    return { key: (await importJWK(jwk, alg)) as webcrypto.CryptoKey, kid: jwk.kid }
  }
  const key = createPrivateKey(text)
  const { kty = '', crv } = key.export({ format: 'jwk' })
  return { key: await importPKCS8(key.export({ type: 'pkcs8', format: 'pem' }).toString(), algorithmFor(kty, crv)) }
}

const CURVES: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }

function algorithmFor(kty: string, crv: string | undefined): string {
  if (kty === 'RSA') return 'RS256'
  return kty === 'OKP' ? 'EdDSA' : (CURVES[crv ?? ''] ?? 'ES256')
}

function tlsFor({ certificateFile, certificateKeyFile, caFile }: ClientSettings): () => SecureContextOptions {
  const open = (path: string | undefined): RotatedFile | undefined =>
    path === undefined ? undefined : openRotatedFile(path)
  const files = { cert: open(certificateFile), key: open(certificateKeyFile), ca: open(caFile) }
  const readAll = (): SecureContextOptions =>
    Object.fromEntries(
      Object.entries(files).flatMap(([name, file]) => (file === undefined ? [] : [[name, file.read()]])),
    )
  let known = readAll()

  return () => {
    const fresh = readAll()
    // A file that was not read again is the same buffer.
    const same = Object.entries(fresh).every(([name, contents]) => Reflect.get(known, name) === contents)
    if (!same) known = fresh
    return known
  }
}
