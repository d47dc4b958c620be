/** Checks what an issuer publishes: its metadata, its keys, and the time by its clock. */

import { DOCUMENT_CAUSES } from '../../verification/document-error.ts'
import type { IssuerSettings } from '../../verification/issuer.ts'
import { createIssuer } from '../../verification/issuer.ts'
import { metadataUrls } from '../../verification/keys/discovery.ts'
import type { KeySetEvent } from '../../verification/keys/key-set.ts'
import type { Check, Section } from '../report.ts'

/** Asks the issuer once for each document, as a relay with these settings would. */
export async function checkIssuer(settings: IssuerSettings, path: string): Promise<Section> {
  const checks = [await checkKeys(settings, path), ...(await checkClock(settings, path)), ...checkOpaque(settings)]
  return { title: `${path} ${settings.issuer}`, checks }
}

async function checkKeys(settings: IssuerSettings, path: string): Promise<Check> {
  const id = 'issuer.keys'
  const events: KeySetEvent[] = []
  const { keys } = createIssuer(settings, path, () => (event) => void events.push(event))
  try {
    await keys.hydrate()
  } catch {
    return { id, status: 'finding', text: `the keys could not be fetched: ${failureOf(events)}` }
  }
  const source =
    settings.jwks === undefined
      ? settings.jwksUri === undefined
        ? 'found by discovery'
        : 'from jwksUri'
      : 'given as jwks'
  const fetched = events.find((event) => event.name === 'refreshed')
  const dropped = Object.entries(fetched?.keys.dropped ?? {}).map(([defect, count]) => `${count} ${defect}`)
  const count = `${keys.size} ${keys.size === 1 ? 'key' : 'keys'}`
  if (dropped.length === 0) return { id, status: 'ok', text: `${count}, ${source}` }
  return { id, status: 'note', text: `${count}, ${source}; not used: ${dropped.join(', ')}` }
}

/** The cause that verification has found: there is no second classification here. */
function failureOf(events: readonly KeySetEvent[]): string {
  const failed = events.findLast((event) => event.name === 'refresh_failed')
  return failed === undefined ? 'for a cause that is not known' : DOCUMENT_CAUSES[failed.cause]
}

/** `Date` has whole seconds, and the answer takes its time. */
const PRECISION_SECONDS = 2

async function checkClock(settings: IssuerSettings, path: string): Promise<readonly Check[]> {
  const { issuer, jwksUri, jwks, keySet, clockToleranceSeconds: tolerance } = settings
  const url = jwks === undefined ? (jwksUri ?? metadataUrls(issuer)[0]) : undefined
  const ahead = url === undefined ? undefined : await secondsAhead(url, keySet.timeoutMillis)
  if (ahead === undefined) return []
  const id = 'issuer.clock'
  if (Math.abs(ahead) <= tolerance + PRECISION_SECONDS) {
    return [{ id, status: 'ok', text: `the clocks agree, within ${path}.clockToleranceSeconds ${tolerance}` }]
  }
  const direction = ahead > 0 ? 'ahead of' : 'behind'
  const text = `the clock of the issuer is ${Math.round(Math.abs(ahead))} s ${direction} the clock here; ${path}.clockToleranceSeconds is ${tolerance}`
  return [
    { id, status: 'finding', text, advice: 'synchronize the clocks (NTP); the tolerance is for small differences' },
  ]
}

/** By its `Date` (RFC 9110 §6.6.1); `undefined` if it does not say. */
async function secondsAhead(url: string, timeoutMillis: number): Promise<number | undefined> {
  try {
    const before = Date.now()
    const signal = AbortSignal.timeout(timeoutMillis)
    const response = await fetch(url, { method: 'HEAD', redirect: 'manual', signal })
    await response.body?.cancel()
    const date = Date.parse(response.headers.get('date') ?? '')
    // Between the two times it was sent; the middle is the best guess.
    return Number.isNaN(date) ? undefined : (date - (before + Date.now()) / 2) / 1000
  } catch {
    return undefined
  }
}

function checkOpaque({ introspection }: IssuerSettings): readonly Check[] {
  if (introspection === undefined) return []
  return [
    {
      id: 'issuer.introspection',
      status: 'note',
      text: 'opaque tokens are introspected; the endpoint is not asked here',
    },
  ]
}
