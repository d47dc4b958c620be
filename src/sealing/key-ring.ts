/** Makes keys of what is configured: a secret, a JWK, or a file that holds one of them. */

import { readFileSync } from 'node:fs'
import { own } from '../token/own.ts'
import type { SealingKey } from './key.ts'
import { createPublicSealingKey, createSecretSealingKey, SealingKeyError } from './key.ts'

/** How a key may be given: exactly one of these. */
export const KEY_FORMS = ['secret', 'secretFile', 'jwk', 'jwkFile'] as const

/** A key as it is configured; checked for its types already. */
export type KeyDescription = Readonly<Record<string, unknown>> & { readonly kid: string }

/** What is wrong with a key, at which of its members. */
export interface KeyProblem {
  readonly member: string
  readonly problem: string
}

/** Largest file that is read; a key is a few hundred characters. */
const MAX_FILE_CHARS = 4_096

/** The key, or why it is none. Neither repeats anything of it. */
export function sealingKeyOf(described: KeyDescription): SealingKey | KeyProblem {
  const [form, second] = KEY_FORMS.filter((name) => own(described, name) !== undefined)
  if (form === undefined) return { member: 'secret', problem: `required: one of ${KEY_FORMS.join(', ')}` }
  if (second !== undefined) return { member: second, problem: `contradicts ${form}: give one of them` }
  try {
    const value = own(described, form)
    return form === 'secret' || form === 'secretFile'
      ? createSecretSealingKey(described.kid, form === 'secret' ? (value as string) : read(value as string))
      : createPublicSealingKey(described.kid, form === 'jwk' ? (value as object as JwkObject) : parse(value as string))
  } catch (error) {
    return { member: form, problem: error instanceof SealingKeyError ? error.message : 'is no key' }
  }
}

type JwkObject = Readonly<Record<string, unknown>>

function read(file: string): string {
  try {
    const text = readFileSync(file, 'utf8').trim()
    if (text.length <= MAX_FILE_CHARS) return text
  } catch {
    // The reason would repeat the path.
  }
  throw new SealingKeyError('the file cannot be read')
}

function parse(file: string): JwkObject {
  const text = read(file)
  try {
    const jwk: unknown = JSON.parse(text)
    if (typeof jwk === 'object' && jwk !== null) return jwk as JwkObject
  } catch {
    // The reason would repeat what is in the file.
  }
  throw new SealingKeyError('the file holds no JWK')
}
