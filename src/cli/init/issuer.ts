/** What an issuer's metadata says that a configuration needs. */

import { isObject, ownProperty } from '../../base/own-property.ts'
import { parseSecureUrl } from '../../base/urls.ts'
import { fetchJson } from '../../verification/bounded-json.ts'
import type { DocumentCause } from '../../verification/document-error.ts'
import { DOCUMENT_CAUSES, DocumentError, documentErrorOf } from '../../verification/document-error.ts'
import { discoverMetadata } from '../../verification/keys/discovery.ts'

export interface IssuerFacts {
  /** As the metadata spells it. */
  readonly issuer: string
  /** Only if it is on another host than the issuer: discovery does not follow it there. */
  readonly jwksUri: string | undefined
  /** Only if the default of `algorithms` lacks one of its keys. */
  readonly algorithms: readonly string[] | undefined
  /** Whether the given name differed from the issuer's by its last slash. */
  readonly isCorrected: boolean
  /** Why the metadata could not be read. */
  readonly problem: string | undefined
}

const LIMITS = { timeoutMillis: 5_000, maxBytes: 1_048_576 }
const DEFAULT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
const OTHER_ALGORITHMS = ['RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512']

type Metadata = Readonly<Record<string, unknown>>

/** Never rejects: without metadata there is a configuration, too. */
export async function learnIssuer(name: string): Promise<IssuerFacts> {
  if (parseSecureUrl(name) === undefined) return withoutMetadata(name, 'the issuer is no https URL')
  const other = name.endsWith('/') ? name.slice(0, -1) : `${name}/`
  const causes: DocumentCause[] = []
  for (const issuer of [name, other]) {
    const metadata = await discoverMetadata(issuer, LIMITS).catch(documentErrorOf)
    if (!(metadata instanceof DocumentError)) return factsIn(metadata, issuer, issuer !== name)
    causes.push(metadata.documentCause)
  }
  const [cause = 'connection_failed'] = causes
  return withoutMetadata(name, `the metadata of the issuer could not be read: ${DOCUMENT_CAUSES[cause]}`)
}

function withoutMetadata(issuer: string, problem: string): IssuerFacts {
  return { issuer, jwksUri: undefined, algorithms: undefined, isCorrected: false, problem }
}

async function factsIn(metadata: Metadata, issuer: string, isCorrected: boolean): Promise<IssuerFacts> {
  const given = ownProperty(metadata, 'jwks_uri')
  const url = typeof given === 'string' ? parseSecureUrl(given) : undefined
  if (url === undefined) {
    return { ...withoutMetadata(issuer, 'the jwks_uri of the issuer is missing, or in clear text'), isCorrected }
  }
  const jwksUri = url.host === new URL(issuer).host ? undefined : url.href
  const algorithms = algorithmsIn(await fetchJson(url.href, LIMITS).catch(() => undefined))
  return { issuer, jwksUri, algorithms, isCorrected, problem: undefined }
}

function algorithmsIn(document: unknown): readonly string[] | undefined {
  const keys: readonly unknown[] = isObject(document) && Array.isArray(document['keys']) ? document['keys'] : []
  const named = new Set(keys.map((key) => (isObject(key) ? ownProperty(key, 'alg') : undefined)))
  const others = OTHER_ALGORITHMS.filter((alg) => named.has(alg))
  return others.length === 0 ? undefined : [...DEFAULT_ALGORITHMS.filter((alg) => named.has(alg)), ...others]
}
