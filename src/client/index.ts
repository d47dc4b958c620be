/** otel-token-relay/client: a declarative service client that sends the caller's token. */

export type {
  Endpoint,
  EndpointInput,
  EndpointOptions,
  EndpointResult,
  Method,
  ReadOptions,
  WriteOptions,
} from './endpoint.ts'
export { del, get, head, patch, post, put } from './endpoint.ts'
export type { ServiceErrorCode, ServiceErrorFacts } from './errors.ts'
export { ServiceError, ServiceScopeError } from './errors.ts'
export type { HeaderFields } from './option-schemas.ts'
export type {
  BulkheadOptions,
  CallOptions,
  CircuitBreakerOptions,
  CircuitChange,
  RetryOptions,
  ServiceClientOptions,
} from './options.ts'
export type { PathParameter, PathValue } from './path.ts'
export type { Query, QueryValue } from './query.ts'
export type { Schema, SchemaInput, SchemaOutput, SchemaResult } from './schema.ts'
export type { EndpointRecord, ServiceCall, ServiceClient } from './service-client.ts'
export { createServiceClient } from './service-client.ts'
