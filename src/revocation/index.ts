/** `otel-token-relay/revocation`: the port for revocation lists, and the list that lives in memory. */

export { createMemoryRevocationList } from './entries.ts'
export type { RevocationEntry, RevocationFacts, RevocationList } from './list.ts'
