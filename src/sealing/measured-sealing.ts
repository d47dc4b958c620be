/** A sealing whose outcomes are measured. An opening counts when it is counted itself: what came too often is a failure. */

import { measureSealing } from '../telemetry/sealing-metrics.ts'
import type { TokenError } from '../token/errors.ts'
import type { OpenedToken, Sealing } from './sealing.ts'

export function measuredSealing(sealing: Sealing): Sealing {
  return {
    ...sealing,
    seal(...args) {
      const sealed = sealing.seal(...args)
      measureSealing({ operation: 'seal', outcome: sealed === undefined ? 'failure' : 'success' })
      return sealed
    },
    open(sealed, message) {
      try {
        return measuredOpening(sealing.open(sealed, message))
      } catch (error) {
        throw failed(error)
      }
    },
  }
}

function measuredOpening(opened: OpenedToken): OpenedToken {
  return {
    ...opened,
    async count() {
      await opened.count().catch((error: unknown) => {
        throw failed(error)
      })
      measureSealing({ operation: 'open', outcome: 'success' })
    },
  }
}

function failed(error: unknown): unknown {
  measureSealing({ operation: 'open', outcome: 'failure', code: (error as TokenError).code })
  return error
}
