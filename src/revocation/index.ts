/** `otel-token-relay/revocation`: the port for lists of taken-back tokens, and the one that lives in memory. */

export type { RevocationEntry, RevocationFacts, RevocationList } from './list.ts'
export { createMemoryRevocationList } from './memory.ts'
