/** Spans that may fail, and an SDK that must not make anything else fail. */

import type { Span } from '@opentelemetry/api'
import { SpanStatusCode } from '@opentelemetry/api'
import { TokenError } from '../token/errors.ts'

/** Marks `span` as failed. Of `error` only the code of ours is told. Never throws. */
export function failSpan(span: Span | undefined, error: unknown): void {
  quietly(() => {
    span?.setStatus({ code: SpanStatusCode.ERROR })
    if (error instanceof TokenError) span?.setAttribute('error.type', error.code)
  })
}

/** What `act` returns; `undefined` where a broken SDK throws. */
export function quietly<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
