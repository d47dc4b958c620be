/** A verifier whose outcomes are measured. */

import { measureVerification } from '../telemetry/verification-metrics.ts'
import { TokenError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from './verifier.ts'

export function measuredVerifier(verifier: Verifier): Verifier {
  return {
    ...verifier,
    recall(credential) {
      const outcome = verifier.recall(credential)
      if (outcome !== undefined) measure(outcome, undefined)
      return outcome
    },
    async verify(credential) {
      const begun = performance.now()
      const seconds = (): number => (performance.now() - begun) / 1000
      try {
        const verified = await verifier.verify(credential)
        measure(verified, seconds())
        return verified
      } catch (error) {
        measure(error as TokenError, seconds())
        throw error
      }
    },
  }
}

function measure(outcome: VerifiedCredential | TokenError, seconds: number | undefined): void {
  if (!(outcome instanceof TokenError)) return measureVerification({ outcome: 'verified', code: undefined, seconds })
  const isOpen = outcome instanceof UndecidedError
  measureVerification({ outcome: isOpen ? 'undecided' : 'rejected', code: outcome.code, seconds })
}
