/** The origin that an undici request names, and the one that its dispatcher is connected to. */

import { LRUCache } from 'lru-cache'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { valueUnderSymbol } from '../../base/own-property.ts'
import type { NetworkTarget } from '../../destination/pattern.ts'
import { originTarget } from '../../destination/target.ts'

/** What the relay asks of an origin for every request. */
export interface Origin {
  /** As the URL standard serializes it. */
  readonly text: string
  readonly protocol: string
  readonly hostname: string
  readonly target: NetworkTarget | undefined
}

/** Origins are few, and to parse one takes as long as to decide about it. */
const origins = new LRUCache<string, Origin>({ max: 1_000 })
const MAX_CACHED_LENGTH = 300

export function parseOrigin(written: unknown): Origin | undefined {
  const text = typeof written !== 'string' && written instanceof URL ? written.href : written
  if (typeof text !== 'string') return undefined
  const known = origins.get(text)
  if (known !== undefined) return known
  const url = URL.parse(text)
  if (url === null) return undefined
  const origin = { text: url.origin, protocol: url.protocol, hostname: url.hostname, target: originTarget(url) }
  if (text.length <= MAX_CACHED_LENGTH) origins.set(text, origin)
  return origin
}

/** By dispatcher, which keeps it for good; `null` for a dispatcher that connects to any origin. */
const connectedOrigins = createObjectMetadata<string | null>()

/** The origin that `dispatcher` connects to, whatever origin a request names; `undefined` if it connects to any. */
export function connectedOriginOf(dispatcher: object): string | undefined {
  let origin = connectedOrigins.get(dispatcher)
  if (origin === undefined) {
    const url = valueUnderSymbol(dispatcher, 'url')
    origin = url instanceof URL ? url.origin : null
    connectedOrigins.set(dispatcher, origin)
  }
  return origin ?? undefined
}

/** Where a dispatch goes, before there is a request. */
export function targetOfDispatch(dispatcher: object, options: object): NetworkTarget | undefined {
  return parseOrigin(connectedOriginOf(dispatcher) ?? (options as { origin?: unknown }).origin)?.target
}
