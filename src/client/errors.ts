/** Every way in which a call of the service client can fail: one code per cause. */

/** What a code means: whether the same call may succeed later, and one constant sentence. */
interface Meaning {
  readonly retryable: boolean
  readonly message: string
}

/** The only place where codes are defined. A test compares this table with the README's, both ways. */
export const SERVICE_ERRORS = {
  ERR_SERVICE_STATUS: { retryable: false, message: 'the service answered with a status that is no success' },
  ERR_SERVICE_SCOPE: { retryable: false, message: 'the service wants a scope that the token does not have' },
  ERR_SERVICE_NETWORK: { retryable: true, message: 'the service could not be reached, or the connection broke' },
  ERR_SERVICE_TIMEOUT: { retryable: true, message: 'the service did not answer in time' },
  ERR_SERVICE_ABORTED: { retryable: false, message: 'the call was aborted by its caller' },
  ERR_SERVICE_CIRCUIT_OPEN: {
    retryable: true,
    message: 'the service has failed too often and is not called for a while',
  },
  ERR_SERVICE_BULKHEAD_FULL: { retryable: true, message: 'too many calls are under way or waiting' },
  ERR_SERVICE_RESPONSE_TYPE: { retryable: false, message: 'the response is not JSON by its content type' },
  ERR_SERVICE_RESPONSE_SIZE: { retryable: false, message: 'the response exceeds the size limit' },
  ERR_SERVICE_RESPONSE_BODY: { retryable: false, message: 'the response is not what the endpoint describes' },
  ERR_SERVICE_DESTINATION: { retryable: false, message: 'the service is not a named destination of the active relay' },
  ERR_SERVICE_TOKEN: {
    retryable: false,
    message: 'no token that the service would accept could be had for the caller',
  },
  ERR_SERVICE_TOKEN_LIFETIME: { retryable: false, message: 'the token would expire before the call has ended' },
} as const satisfies Record<string, Meaning>

/** A stable code of a {@link ServiceError}. Branch on this, not on the message. */
export type ServiceErrorCode = keyof typeof SERVICE_ERRORS

/** What is known about a failed call. */
export interface ServiceErrorFacts {
  /** Name of the endpoint in `endpoints`; `undefined` where the client could not be created. */
  readonly endpoint: string | undefined
  /** Status of the response, where there was one. */
  readonly status?: number
  /** Whether the same call may succeed later. Default: what the code says. */
  readonly retryable?: boolean
}

/**
 * A call did not give what its endpoint describes. `message` is constant per `code`; neither it nor any other property
 * ever holds a URL, a parameter, a header or a body, and there is no `cause`.
 */
export class ServiceError extends Error {
  override readonly name: string = 'ServiceError'
  /** Stable code, listed in the README. */
  readonly code: ServiceErrorCode
  /** HTTP status of the last response; `undefined` where there was none, or it was not the problem. */
  readonly status: number | undefined
  /** Whether the same call may succeed later without another token or input. */
  readonly retryable: boolean
  /** Name of the endpoint; `undefined` where the client could not be created. */
  readonly endpoint: string | undefined

  constructor(code: ServiceErrorCode, { endpoint, status, retryable }: ServiceErrorFacts) {
    super(SERVICE_ERRORS[code].message)
    this.code = code
    this.status = status
    this.retryable = retryable ?? SERVICE_ERRORS[code].retryable
    this.endpoint = endpoint
  }
}

/** The service answered 403 with `insufficient_scope` (RFC 6750 §3.1): another token may be accepted. */
export class ServiceScopeError extends ServiceError {
  override readonly name = 'ServiceScopeError'
  /** The scopes that the service asks for, as it says; empty where it does not. */
  readonly requiredScopes: readonly string[]

  constructor(endpoint: string, requiredScopes: readonly string[]) {
    super('ERR_SERVICE_SCOPE', { endpoint, status: 403 })
    this.requiredScopes = Object.freeze([...requiredScopes])
  }
}
