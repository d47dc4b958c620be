/** Errors of the service client: one stable code for each cause. */

/** Whether a call with this code may succeed later, and the constant message of the code. */
interface Meaning {
  readonly retryable: boolean
  readonly message: string
}

/** All codes. A test compares this table with the one in docs/reference/errors.md, in both directions. */
export const SERVICE_ERRORS = {
  ERR_SERVICE_STATUS: { retryable: false, message: 'the service answered with an error status' },
  ERR_SERVICE_SCOPE: { retryable: false, message: 'the service requires a scope that the token lacks' },
  ERR_SERVICE_NETWORK: { retryable: true, message: 'the service could not be reached, or the connection broke' },
  ERR_SERVICE_TIMEOUT: { retryable: true, message: 'the service did not answer in time' },
  ERR_SERVICE_ABORTED: { retryable: false, message: 'the call was aborted by its caller' },
  ERR_SERVICE_CIRCUIT_OPEN: {
    retryable: true,
    message: 'the circuit breaker is open because the service failed too often',
  },
  ERR_SERVICE_BULKHEAD_FULL: { retryable: true, message: 'too many calls are running or waiting' },
  ERR_SERVICE_RESPONSE_TYPE: { retryable: false, message: 'the content type of the response is not JSON' },
  ERR_SERVICE_RESPONSE_SIZE: { retryable: false, message: 'the response exceeds the size limit' },
  ERR_SERVICE_RESPONSE_BODY: { retryable: false, message: 'the response does not match the schema of the endpoint' },
  ERR_SERVICE_DESTINATION: { retryable: false, message: 'the service is not a named destination of the active relay' },
  ERR_SERVICE_TOKEN: {
    retryable: false,
    message: 'no acceptable token is available for the caller',
  },
  ERR_SERVICE_TOKEN_LIFETIME: { retryable: false, message: 'the token would expire before the call ends' },
} as const satisfies Record<string, Meaning>

/** A stable code of a {@link ServiceError}. Branch on this, not on the message. */
export type ServiceErrorCode = keyof typeof SERVICE_ERRORS

/** Facts about a failed call. */
export interface ServiceErrorFacts {
  /** Name of the endpoint in `endpoints`; `undefined` if the client could not be created. */
  readonly endpoint: string | undefined
  /** Status of the response, or the status to answer the caller with. */
  readonly status?: number
  /** Whether the same call may succeed later. Default: that of the code. */
  readonly retryable?: boolean
  /** Value of the `WWW-Authenticate` field that goes with `status`. */
  readonly challenge?: string
}

/**
 * A failed call. `message` is constant for each `code`. No property holds a URL, a parameter, a header or a body, and
 * there is no `cause`.
 */
export class ServiceError extends Error {
  override readonly name: string = 'ServiceError'
  /** Stable code, listed in docs/reference/errors.md. */
  readonly code: ServiceErrorCode
  /**
   * HTTP status of the last response; `undefined` if there was none, or the status was not the problem. For the codes
   * `ERR_SERVICE_TOKEN` and `ERR_SERVICE_TOKEN_LIFETIME`, the status to answer the caller with: 401 if a new token
   * helps.
   */
  readonly status: number | undefined
  /** `WWW-Authenticate` for that answer (RFC 6750 §3): the client must get a new token. */
  readonly challenge: string | undefined
  /** Whether the same call may succeed later with the same token and input. */
  readonly retryable: boolean
  /** Name of the endpoint; `undefined` if the client could not be created. */
  readonly endpoint: string | undefined

  constructor(code: ServiceErrorCode, { endpoint, status, retryable, challenge }: ServiceErrorFacts) {
    super(SERVICE_ERRORS[code].message)
    this.code = code
    this.status = status
    this.retryable = retryable ?? SERVICE_ERRORS[code].retryable
    this.endpoint = endpoint
    this.challenge = challenge
  }
}

/** The service answered 403 with `insufficient_scope` (RFC 6750 §3.1): another token may be accepted. */
export class ServiceScopeError extends ServiceError {
  override readonly name = 'ServiceScopeError'
  /** The scopes that the service names; empty if it names none. */
  readonly requiredScopes: readonly string[]

  constructor(endpoint: string, requiredScopes: readonly string[]) {
    super('ERR_SERVICE_SCOPE', { endpoint, status: 403 })
    this.requiredScopes = Object.freeze([...requiredScopes])
  }
}
