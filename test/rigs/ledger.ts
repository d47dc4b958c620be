/** What each planned request must carry when it arrives at a named place, and what it did carry. */

/** A request of any protocol. */
interface Arrived {
  readonly url?: string | undefined
  readonly rawHeaders: readonly string[]
}

/** `nothing`: the request must not arrive at all, since its caller is refused. */
export type Expectation = 'token' | 'own' | 'none' | 'nothing'

export interface LedgerCounts {
  token: number
  own: number
  none: number
  /** Without the token that it should have had, though its caller was there. */
  missing: number
  /** Another credential than the expected one, or more than one. */
  wrong: number
}

export interface Ledger {
  readonly counts: Readonly<LedgerCounts>
  /** The first requests that were not as expected. */
  readonly examples: readonly string[]
  /** The path of a call by the holder of `token`; `mayMiss` where the caller may have left by then. */
  enter(client: string, token: string | undefined, mayMiss: boolean): number
  path(id: number, expected: Expectation, behaviour: string): string
  compare(request: Arrived): void
}

/** A credential that the application sets itself. */
export const OWN = 'Basic cmlnOnJpZw=='
const KEPT = 20

interface Entry {
  readonly client: string
  readonly token: string | undefined
  readonly mayMiss: boolean
}

export function createLedger(): Ledger {
  const entries: Entry[] = []
  const counts: LedgerCounts = { token: 0, own: 0, none: 0, missing: 0, wrong: 0 }
  const examples: string[] = []

  function count(found: keyof LedgerCounts, entry: Entry | undefined, path: string): void {
    counts[found] += 1
    const isDefect = found === 'missing' || found === 'wrong'
    if (isDefect && examples.length < KEPT) examples.push(`${found}: ${entry?.client} ${path}`)
  }

  return {
    counts,
    examples,
    enter: (client, token, mayMiss) => entries.push({ client, token, mayMiss }) - 1,
    path: (id, expected, behaviour) => `/${id}/${expected}/${behaviour}`,
    compare({ url = '', rawHeaders }) {
      const [, id = '', expected = ''] = url.split('/')
      const entry = entries[Number(id)]
      const carried = rawHeaders.filter((_, i) => i % 2 === 1 && /^authorization$/i.test(rawHeaders[i - 1] ?? ''))
      count(verdict(entry, expected as Expectation, carried), entry, url)
    },
  }
}

function verdict(entry: Entry | undefined, expected: Expectation, carried: readonly string[]): keyof LedgerCounts {
  if (entry === undefined || expected === 'nothing' || carried.length > 1) return 'wrong'
  const [value] = carried
  if (value === undefined) return expected === 'token' && !entry.mayMiss ? 'missing' : 'none'
  if (expected === 'own') return value === OWN ? 'own' : 'wrong'
  return expected === 'token' && value === `Bearer ${entry.token}` ? 'token' : 'wrong'
}
