/** Response bodies that are produced after their handler has returned, when a framework reads them as nobody. */

import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential } from '../context/credential-context.ts'

/** `body` as something that is produced in `ctx`; what is no stream is there already. */
export function bindBody(ctx: Context, body: unknown): unknown {
  if (body instanceof ReadableStream) return body.locked ? body : bindWebStream(ctx, body)
  if (body instanceof Readable) bindReadable(ctx, body)
  return body
}

const owners = new WeakMap<Readable, { ctx: Context }>()

function bindReadable(ctx: Context, stream: Readable): void {
  const owner = owners.get(stream)
  // Read for two callers, by whoever comes first: it is nobody's.
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
    // Whoever reads asks for more: nothing is produced ahead of that.
    { highWaterMark: 0 },
  )
}
