/** Binds response bodies, which frameworks read after the handler has returned, to the caller of that handler. */

import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential } from '../../context/credential-context.ts'

/** `body` as a stream that is produced in `ctx`; anything else is there already. */
export function bindBody(ctx: Context, body: unknown): unknown {
  if (body instanceof ReadableStream) return body.locked ? body : bindWebStream(ctx, body)
  if (body instanceof Readable) bindReadable(ctx, body)
  return body
}

const owners = new WeakMap<Readable, { ctx: Context }>()

function bindReadable(ctx: Context, stream: Readable): void {
  const owner = owners.get(stream)
  // A stream that two callers share has none.
  if (owner !== undefined) {
    if (owner.ctx !== ctx) owner.ctx = deleteCredential(ctx)
    return
  }
  const bound = { ctx }
  owners.set(stream, bound)
  const read = stream._read
  stream._read = (size) => context.with(bound.ctx, () => read.call(stream, size))
}

function bindWebStream(ctx: Context, stream: ReadableStream): ReadableStream {
  const reader = stream.getReader()
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await context.with(ctx, () => reader.read())
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => context.with(ctx, () => reader.cancel(reason)),
    },
    // Nothing is produced before it is read.
    { highWaterMark: 0 },
  )
}
