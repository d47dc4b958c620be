/** Checks signatures, with jose: no other file does. */

import type { VerifyOptions } from 'jose'
import * as errors from 'jose/errors'
import { compactVerify } from 'jose/jws/compact/verify'
import type { TokenError } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { PublishedKey } from './keys/published-keys.ts'

/**
 * Resolves with the key that verifies the signature of `text` by `alg`, the algorithm in its header; `undefined` if
 * none does. Several keys are tried: two keys with one `kid`, as in a sloppy rotation, must not lock callers out.
 *
 * @throws TokenError and nothing else.
 */
export async function findVerifyingKey(
  text: string,
  alg: string,
  keys: readonly PublishedKey[],
): Promise<PublishedKey | undefined> {
  const options = optionsFor(alg)
  for (const key of keys) {
    try {
      const imported = key.keyFor(alg)
      await compactVerify(text, imported instanceof Promise ? await imported : imported, options)
      return key
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw translateError(error)
    }
  }
  return undefined
}

/** By algorithm: those of issuers are words of a short list. */
const knownOptions = new Map<string, VerifyOptions>()

function optionsFor(alg: string): VerifyOptions {
  let options = knownOptions.get(alg)
  if (options === undefined) {
    // Nothing that was put on `Object.prototype` is an option of ours (CWE-1321).
    options = Object.assign(Object.create(null) as VerifyOptions, { algorithms: [alg] })
    knownOptions.set(alg, options)
  }
  return options
}

function translateError(error: unknown): TokenError {
  if (error instanceof errors.JOSEAlgNotAllowed) return new TokenRejectedError('ERR_TOKEN_ALGORITHM')
  if (error instanceof errors.JWSInvalid) return new TokenRejectedError('ERR_TOKEN_MALFORMED')
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}
