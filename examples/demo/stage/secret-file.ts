/** A secret in a file that only we can read, as a secret store would mount it. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SecretFile extends AsyncDisposable {
  readonly path: string
}

/** 32 random bytes in base64url. The file is gone with the demo. */
export async function createSecretFile(): Promise<SecretFile> {
  const folder = await mkdtemp(join(tmpdir(), 'token-relay-demo-'))
  const path = join(folder, 'sealing-key')
  await writeFile(path, randomBytes(32).toString('base64url'), { mode: 0o600 })
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
