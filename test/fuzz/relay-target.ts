/** The relay as it is, as the target of a fuzz run. */

import { defaultTextMapGetter, ROOT_CONTEXT } from '@opentelemetry/api'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { FuzzTarget } from './fuzz.ts'
import type { Cast } from './inputs.ts'
import { AUDIENCE, ISSUER } from './inputs.ts'

/** Makes a relay for the keys of the run, and shuts it down when `use` is done. */
export async function withRelayTarget<T>(use: (targetFor: (cast: Cast) => FuzzTarget) => Promise<T>): Promise<T> {
  let relay: TokenRelay | undefined
  try {
    return await use(({ signers }) => {
      relay = createTokenRelay({
        issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: signers.map(({ jwk }) => jwk) } }],
      })
      return targetOf(relay)
    })
  } finally {
    await relay?.shutdown()
  }
}

function targetOf({ propagator, verify }: TokenRelay): FuzzTarget {
  return {
    verify,
    extract: (text) => void propagator.extract(ROOT_CONTEXT, { authorization: `Bearer ${text}` }, defaultTextMapGetter),
  }
}
