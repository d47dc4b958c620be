/** What authenticates this service to a token endpoint: its secret, its key, its certificate. */

import type { SecureContextOptions } from 'node:tls'
import { createSecureContext } from 'node:tls'
import type { SigningKey } from './private-key.ts'
import { readSigningKey } from './private-key.ts'
import { openRotatedFiles } from './rotated-files.ts'
import type { ClientSettings } from './settings.ts'

/** `kid` is empty if the key has no name. */
export type ClientProof =
  | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secret: string }
  | { readonly method: 'private_key_jwt'; readonly key: SigningKey['key']; readonly kid: string }
  | { readonly method: 'tls' }

/** Read for each request, since files may have been rotated. */
export interface ClientCredentials {
  proof(): ClientProof
  /** Certificate, key and authorities for the connection; the same object until one of them changes. */
  tls(): SecureContextOptions
}

export function createClientCredentials(settings: ClientSettings): ClientCredentials {
  const credentials = { proof: proofFor(settings), tls: tlsFor(settings) }
  // Read once now, so that there is a last good value if the files cannot be read later.
  for (const read of Object.values(credentials)) succeeds(read)
  return credentials
}

/** Returns the option whose file is missing or wrong, if there is one, so that the mistake is found at start. */
export function unusableFile(settings: ClientSettings): keyof ClientSettings | undefined {
  if (!succeeds(proofFor(settings))) {
    return settings.clientAuthentication === 'private_key_jwt' ? 'privateKeyFile' : 'clientSecretFile'
  }
  if (!succeeds(tlsFor({ ...settings, certificateFile: undefined, certificateKeyFile: undefined }))) return 'caFile'
  return succeeds(tlsFor(settings)) ? undefined : 'certificateFile'
}

function succeeds(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}

function proofFor(settings: ClientSettings): () => ClientProof {
  const { clientAuthentication: method } = settings
  switch (method) {
    case 'client_secret_basic':
    case 'client_secret_post':
      return secretFor(settings, method)
    case 'private_key_jwt':
      return privateKeyFor(settings)
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return () => ({ method: 'tls' })
  }
}

type SecretMethod = Extract<ClientProof, { readonly secret: string }>['method']

function secretFor({ clientSecret = '', clientSecretFile }: ClientSettings, method: SecretMethod): () => ClientProof {
  if (clientSecretFile === undefined) return () => ({ method, secret: clientSecret })
  return openRotatedFiles([clientSecretFile], ([contents]) => {
    // Files that hold one line tend to end it.
    const secret = String(contents).trim()
    if (secret === '') throw new Error('the file is half-written')
    return { method, secret }
  })
}

function privateKeyFor({ privateKeyFile = '', keyId }: ClientSettings): () => ClientProof {
  return openRotatedFiles([privateKeyFile], ([contents]) => {
    const { key, kid = '' } = readSigningKey(String(contents))
    return { method: 'private_key_jwt', key, kid: keyId ?? kid }
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
