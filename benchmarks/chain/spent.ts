/** Who spent the time of a CPU profile: the function that ran, and the function of the relay that made it run. */

import type { Profiler } from 'node:inspector'
import { nameOf } from './source-names.ts'

export interface Spent {
  /** Microseconds, by whose code ran. */
  readonly byOwner: ReadonlyMap<string, number>
  /** The part of `byOwner` that ran because the relay called it, or was the relay. */
  readonly underRelay: ReadonlyMap<string, number>
  /** Of the relay's functions: what they took themselves. */
  readonly byFunction: ReadonlyMap<string, number>
  /** Of the relay's functions: what they took with what they called, other functions of the relay aside. */
  readonly withCalls: ReadonlyMap<string, number>
}

type Node = Profiler.ProfileNode
type Frame = Node['callFrame']

/** The first that matches the script's address. */
const OWNERS: readonly (readonly [owner: string, script: RegExp])[] = [
  ['instrumentations', /@opentelemetry\/instrumentation/],
  ['OpenTelemetry metrics', /@opentelemetry\/sdk-metrics/],
  ['OpenTelemetry traces', /@opentelemetry\/(?:sdk-trace|core|resources)/],
  ['OpenTelemetry context', /@opentelemetry\/(?:context|api)/],
  ['other packages', /node_modules/],
  ['relay', /\/dist\//],
  ['undici', /^node:internal\/deps\/undici/],
  ['Node.js', /^node:/],
  ['the services', /service\.cjs$/],
]

/** The relay wraps functions of these, which do the same work without it: what they call is not called by the relay. */
const OWN_MASTERS: ReadonlySet<string> = new Set(['the services', 'undici', 'instrumentations'])
/** So does the tracer that this function of the relay wraps. */
const WRAPPER = 'hooked'

/**
 * A sample that comes late shows a thread that had no core meanwhile, mostly since the service that it wrote to ran there
 * in its place. So none counts for more than two intervals.
 */
export function spentIn({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile, intervalMicros: number): Spent {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = parentsOf(nodes, byId)
  const sums = { byOwner: sum(), underRelay: sum(), byFunction: sum(), withCalls: sum() }
  samples.forEach((id, i) => {
    const node = byId.get(id)
    const owner = node === undefined ? undefined : ownerOf(node.callFrame)
    if (node === undefined || owner === undefined) return
    const micros = Math.min(timeDeltas[i] ?? 0, 2 * intervalMicros)
    add(sums.byOwner, owner, micros)
    if (owner === 'relay') add(sums.byFunction, nameOf(node.callFrame), micros)
    const cause = relayFrameAbove(node, parents)
    if (cause === undefined) return
    add(sums.underRelay, owner, micros)
    add(sums.withCalls, nameOf(cause), micros)
  })
  return sums
}

function parentsOf(nodes: readonly Node[], byId: ReadonlyMap<number, Node>): ReadonlyMap<Node, Node> {
  const parents = new Map<Node, Node>()
  for (const node of nodes) {
    for (const id of node.children ?? []) {
      const child = byId.get(id)
      if (child !== undefined) parents.set(child, node)
    }
  }
  return parents
}

/** The nearest frame of the relay, if no service, undici or instrumentation is nearer. */
function relayFrameAbove(node: Node, parents: ReadonlyMap<Node, Node>): Frame | undefined {
  for (let at: Node | undefined = node; at !== undefined; at = parents.get(at)) {
    const owner = ownerOf(at.callFrame)
    if (owner === 'relay') return at !== node && at.callFrame.functionName === WRAPPER ? undefined : at.callFrame
    if (owner !== undefined && OWN_MASTERS.has(owner)) return undefined
  }
  return undefined
}

/** `undefined` while nothing ran but the recording. */
function ownerOf({ functionName, url }: Frame): string | undefined {
  if (functionName === '(idle)' || url === 'node:inspector') return undefined
  if (functionName === '(garbage collector)') return 'garbage collector'
  return OWNERS.find(([, script]) => script.test(url))?.[0] ?? 'native code'
}

function sum(): Map<string, number> {
  return new Map()
}

function add(sums: Map<string, number>, name: string, micros: number): void {
  sums.set(name, (sums.get(name) ?? 0) + micros)
}
