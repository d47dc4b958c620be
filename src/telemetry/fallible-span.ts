/** Runs work in a span, with an SDK that may be broken. */

import type { Span } from '@opentelemetry/api'
import { SpanStatusCode } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { TokenError } from '../token/errors.ts'

/**
 * Runs `work` in the span that `start` returns, and ends that span. If `work` rejects, marks the span as failed; of the
 * error only our own code is recorded. If the SDK throws, `work` runs without a span.
 */
export async function runInSpan<T>(start: () => Span, work: (span: Span | undefined) => Promise<T>): Promise<T> {
  const span = ignoreErrors(start)
  try {
    return await work(span)
  } catch (error) {
    ignoreErrors(() => failSpan(span, error))
    throw error
  } finally {
    ignoreErrors(() => span?.end())
  }
}

function failSpan(span: Span | undefined, error: unknown): void {
  span?.setStatus({ code: SpanStatusCode.ERROR })
  if (error instanceof TokenError) span?.setAttribute('error.type', error.code)
}
