/** A verifier whose outcomes are measured. */

import { measureVerification } from '../telemetry/verification-metrics.ts'
import type { Credential } from '../token/credential.ts'
import { TokenError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from './verifier.ts'

export function measuredVerifier(verifier: Verifier): Verifier {
  function recall(credential: Credential): VerifiedCredential | TokenError | undefined {
    const outcome = verifier.recall(credential)
    if (outcome !== undefined) measure(outcome, undefined)
    return outcome
  }

  function decide(credential: Credential): TokenError | Promise<VerifiedCredential> {
    const begun = performance.now()
    const outcome = verifier.decide(credential)
    if (!(outcome instanceof TokenError)) return measureLater(outcome, begun)
    measure(outcome, (performance.now() - begun) / 1000)
    return outcome
  }

  return {
    ...verifier,
    recall,
    decide,
    async verify(credential) {
      const outcome = recall(credential) ?? decide(credential)
      if (outcome instanceof TokenError) throw outcome
      return outcome
    },
  }
}

async function measureLater(verification: Promise<VerifiedCredential>, begun: number): Promise<VerifiedCredential> {
  const seconds = (): number => (performance.now() - begun) / 1000
  try {
    const verified = await verification
    measure(verified, seconds())
    return verified
  } catch (error) {
    measure(error as TokenError, seconds())
    throw error
  }
}

function measure(outcome: VerifiedCredential | TokenError, seconds: number | undefined): void {
  if (!(outcome instanceof TokenError)) return measureVerification({ outcome: 'verified', code: undefined, seconds })
  const isOpen = outcome instanceof UndecidedError
  measureVerification({ outcome: isOpen ? 'undecided' : 'rejected', code: outcome.code, seconds })
}
