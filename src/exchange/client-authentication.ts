/** How this service proves to a token endpoint which client it is. */

import type { SecureContextOptions } from 'node:tls'
import { createSecureContext } from 'node:tls'
import type { ClientAuth } from 'oauth4webapi'
import { ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, TlsClientAuth } from 'oauth4webapi'
import { readSigningKey } from './private-key.ts'
import { openRotatedFiles } from './rotated-files.ts'
import type { ClientSettings } from './settings.ts'

/** What a client proves itself with may have been rotated since the last request: asked for each. */
export interface ClientCredentials {
  authentication(): ClientAuth
  /** Certificate, key and authorities for the connection; the same object until one of them changes. */
  tls(): SecureContextOptions
}

export function createClientCredentials(settings: ClientSettings): ClientCredentials {
  const credentials = { authentication: authenticationFor(settings), tls: tlsFor(settings) }
  // From now on there is something to fall back on, whatever happens to the files.
  for (const read of Object.values(credentials)) works(read)
  return credentials
}

/** The option whose file is missing or holds something else, where there is one: better found at start. */
export function unusableFile(settings: ClientSettings): keyof ClientSettings | undefined {
  if (!works(authenticationFor(settings))) {
    return settings.clientAuthentication === 'private_key_jwt' ? 'privateKeyFile' : 'clientSecretFile'
  }
  if (!works(tlsFor({ ...settings, certificateFile: undefined, certificateKeyFile: undefined }))) return 'caFile'
  return works(tlsFor(settings)) ? undefined : 'certificateFile'
}

function works(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}

function authenticationFor(settings: ClientSettings): () => ClientAuth {
  switch (settings.clientAuthentication) {
    case 'client_secret_basic':
      return withSecret(settings, ClientSecretBasic)
    case 'client_secret_post':
      return withSecret(settings, ClientSecretPost)
    case 'private_key_jwt':
      return withPrivateKey(settings)
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return TlsClientAuth
  }
}

function withSecret(settings: ClientSettings, create: (secret: string) => ClientAuth): () => ClientAuth {
  const { clientSecret = '', clientSecretFile } = settings
  if (clientSecretFile === undefined) return () => create(clientSecret)
  // Files that hold one line tend to end it. An empty one is half-written.
  return openRotatedFiles([clientSecretFile], ([contents]) => create(String(contents).trim()))
}

function withPrivateKey({ privateKeyFile = '', keyId }: ClientSettings): () => ClientAuth {
  return openRotatedFiles([privateKeyFile], ([contents]) => {
    const { key, kid = '' } = readSigningKey(String(contents))
    const name = keyId ?? kid
    return PrivateKeyJwt(name === '' ? key : { key, kid: name })
  })
}

function tlsFor({ certificateFile, certificateKeyFile, caFile }: ClientSettings): () => SecureContextOptions {
  const given = Object.entries({ cert: certificateFile, key: certificateKeyFile, ca: caFile }).flatMap(
    ([name, path]) => (path === undefined ? [] : [{ name, path }]),
  )
  const paths = given.map(({ path }) => path)
  return openRotatedFiles(paths, (contents) => {
    const material: SecureContextOptions = Object.fromEntries(given.map(({ name }, index) => [name, contents[index]]))
    // In the middle of a rotation the key may be the old one and the certificate the new one: that throws here.
    createSecureContext(material)
    return material
  })
}
