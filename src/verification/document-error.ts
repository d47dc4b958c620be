/** Why a document of an issuer could not be had: one cause of a short list, so that metrics can count by it. */

/** The causes, and what the operator reads. No text repeats what the document says. */
export const DOCUMENT_CAUSES = {
  connection_refused: 'the connection is refused: nothing listens there',
  name_not_found: 'the name of the host is not found',
  tls_not_trusted: 'the certificate is not trusted; give its authority in NODE_EXTRA_CA_CERTS',
  connection_failed: 'the connection fails',
  timeout: 'no answer within keySet.timeoutMillis',
  redirect: 'the answer is a redirect, which is not followed; configure the URL where it leads',
  not_found: 'the answer is 404',
  error_status: 'the answer has an error status',
  not_json: 'the answer is not JSON',
  too_large: 'the answer is larger than keySet.maxBytes',
  issuer_slash: 'its metadata name the issuer with another last slash; issuers[].issuer must be the same',
  issuer_differs: 'its metadata name another issuer; issuers[].issuer must be the same',
  endpoint_missing: 'its metadata have no URL of the keys',
  endpoint_cleartext: 'the URL of the keys in its metadata is not https; give jwksUri or jwks',
  endpoint_elsewhere: 'the URL of the keys in its metadata is on another host; give it as jwksUri, if it is right',
  not_a_key_set: 'the document is not a key set',
  no_keys: 'the key set is empty',
  symmetric_keys: 'the key set has only symmetric keys, which verify nothing',
  no_usable_key: 'the key set has no key that can be used',
} as const

export type DocumentCause = keyof typeof DOCUMENT_CAUSES

/** The document could not be read. Carries the status so that discovery can tell "not there" from "not now". */
export class DocumentError extends Error {
  override readonly name = 'DocumentError'
  readonly documentCause: DocumentCause
  readonly status: number | undefined

  constructor(documentCause: DocumentCause, status?: number) {
    super('the document could not be read')
    this.documentCause = documentCause
    this.status = status
  }
}

/** The error of a document that came with `status`. */
export function statusError(status: number): DocumentError {
  if (status === 404) return new DocumentError('not_found', status)
  return new DocumentError(status === 200 ? 'not_json' : 'error_status', status)
}

const CODES: Readonly<Record<string, DocumentCause>> = {
  ECONNREFUSED: 'connection_refused',
  ENOTFOUND: 'name_not_found',
  EAI_AGAIN: 'name_not_found',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  ETIMEDOUT: 'timeout',
}

/** OpenSSL's names of what is wrong with a certificate (X509_verify_cert_error_string), and Node's own. */
const TLS_CODE = /CERT|SIGNATURE|^ERR_TLS_|^ERR_SSL_|^CRL_|ISSUER/

/** The error for what `fetch` has thrown. */
export function documentErrorOf(error: unknown): DocumentError {
  if (error instanceof DocumentError) return error
  const { name, cause } = error as { readonly name?: unknown; readonly cause?: unknown }
  if (name === 'TimeoutError') return new DocumentError('timeout')
  const { code, message } = (cause ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (message === 'unexpected redirect') return new DocumentError('redirect')
  if (typeof code !== 'string') return new DocumentError('connection_failed')
  return new DocumentError(CODES[code] ?? (TLS_CODE.test(code) ? 'tls_not_trusted' : 'connection_failed'))
}
