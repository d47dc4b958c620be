/** Where the identity provider keeps its sessions, grants and codes: in memory, the latest thousand of each kind. */

/** What oidc-provider stores; everything else in it is its own affair. */
interface Payload {
  readonly uid?: string
  readonly grantId?: string
  consumed?: number
}

const MAX_ENTRIES = 1_000

/** The interface that oidc-provider calls an adapter. One instance per kind; expiry is checked by the provider. */
export class ProviderStore {
  readonly #entries = new Map<string, Payload>()

  async upsert(id: string, payload: Payload): Promise<void> {
    this.#entries.set(id, payload)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest)
  }

  async find(id: string): Promise<Payload | undefined> {
    return this.#entries.get(id)
  }

  async findByUid(uid: string): Promise<Payload | undefined> {
    return [...this.#entries.values()].find((payload) => payload.uid === uid)
  }

  async consume(id: string): Promise<void> {
    const payload = this.#entries.get(id)
    if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000)
  }

  async destroy(id: string): Promise<void> {
    this.#entries.delete(id)
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    for (const [id, payload] of this.#entries) if (payload.grantId === grantId) this.#entries.delete(id)
  }
}
