/** What a caller of the leak rig wants done: where to, with what, and what must be carried there. */

import type { Random } from '../fuzz/random.ts'
import type { Expectation, Ledger } from './ledger.ts'
import { OWN } from './ledger.ts'
import type { PlannedCall, RigClient } from './service.ts'

/** Origins of the places, by what may arrive there. */
export interface LeakPlaces {
  readonly named: OriginsByScheme
  /** Some of them lead to the server of a named place, by a name that no rule has. */
  readonly unnamed: OriginsByScheme
}

/** The schemes that the rig has sinks for. */
const SCHEMES = ['http', 'https', 'grpc'] as const
type OriginsByScheme = Readonly<Record<(typeof SCHEMES)[number], readonly string[]>>

export const isPlanned = ({ scheme = 'http' }: RigClient): boolean => SCHEMES.some((each) => each === scheme)

export interface Planning {
  readonly random: Random
  readonly ledger: Ledger
  readonly places: LeakPlaces
  readonly clients: readonly RigClient[]
  readonly ways: readonly string[]
}

export interface Holder {
  readonly token: string
  /** Whether its token may leave at all: verified, not expired, not revoked. */
  readonly isGood: boolean
  /** Whether the handler of the service must not run at all. */
  readonly isRefused: boolean
  readonly mayLeave: boolean
}

const HOPS = 3

export function planCall(planning: Planning, holder: Holder): PlannedCall {
  const { random, clients, ways, ledger } = planning
  const client = random.pick(clients)
  const special = random.pick<Special>(SPECIALS)
  const id = ledger.enter(client.name, holder.token, holder.mayLeave || special === 'aborted')
  const call = { client: client.name, way: random.pick(ways), url: urlOf(planning, { client, holder, special, id }) }
  if (special === 'own') return { ...call, headers: { authorization: OWN } }
  if (special === 'suppressed') return { ...call, suppressed: true }
  return special === 'aborted' ? { ...call, abortMillis: random.integer(6) } : call
}

type Special = 'none' | 'own' | 'suppressed' | 'aborted'
const SPECIALS: readonly Special[] = ['none', 'none', 'none', 'none', 'none', 'none', 'own', 'suppressed', 'aborted']

interface Calling {
  readonly client: RigClient
  readonly holder: Holder
  readonly special: Special
  readonly id: number
}

/** The first place, and behind it those that it redirects to. */
function urlOf({ random, ledger, places }: Planning, calling: Calling): string {
  const { client, special, id } = calling
  const hops = client.follows && special !== 'own' ? 1 + random.integer(HOPS) : 1
  let url = ''
  for (let hop = 0; hop < hops; hop += 1) {
    const isNamed = client.astray || random.integer(2) === 0
    const scheme = SCHEMES.find((each) => each === client.scheme) ?? 'http'
    const origin = random.pick((isNamed ? places.named : places.unnamed)[scheme])
    const path = ledger.path(id, expectationOf(calling, isNamed), url === '' ? behaviourOf(calling, random) : 'ok')
    url = `${origin}${path}${url === '' ? '' : `?next=${encodeURIComponent(url)}`}`
  }
  return url
}

function expectationOf({ client, holder, special }: Calling, isNamed: boolean): Expectation {
  if (holder.isRefused) return 'nothing'
  if (special === 'own') return 'own'
  const isRead = client.proxied === true && (client.scheme ?? 'http') === 'http'
  return isNamed && holder.isGood && special !== 'suppressed' && !isRead && !client.astray ? 'token' : 'none'
}

function behaviourOf({ client, special }: Calling, random: Random): string {
  if (special === 'aborted') return 'hang'
  return random.pick(['ok', 'ok', 'ok', 'hang', 'reset', ...(client.retries ? ['flaky', 'flaky'] : [])])
}
