/** Who spent the time of a CPU profile: each sample belongs to the function that ran, not to those that called it. */

import type { Profiler } from 'node:inspector'

export interface Spent {
  /** Microseconds. */
  readonly byOwner: ReadonlyMap<string, number>
  /** Of our own functions only. */
  readonly byFunction: ReadonlyMap<string, number>
}

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

export function spentIn({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Spent {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]))
  const [byOwner, byFunction] = [new Map<string, number>(), new Map<string, number>()]
  samples.forEach((id, i) => {
    const frame = byId.get(id)
    const owner = frame === undefined ? undefined : ownerOf(frame)
    if (frame === undefined || owner === undefined) return
    const micros = timeDeltas[i] ?? 0
    add(byOwner, owner, micros)
    if (owner === 'relay') add(byFunction, nameOf(frame), micros)
  })
  return { byOwner, byFunction }
}

/** `undefined` while nothing ran but the recording. */
function ownerOf({ functionName, url }: Profiler.Profile['nodes'][number]['callFrame']): string | undefined {
  if (functionName === '(idle)' || url === 'node:inspector') return undefined
  if (functionName === '(garbage collector)') return 'garbage collector'
  return OWNERS.find(([, script]) => script.test(url))?.[0] ?? 'native code'
}

function nameOf({ functionName, url }: Profiler.Profile['nodes'][number]['callFrame']): string {
  return `${url.split('/dist/')[1] ?? url} ${functionName || '(anonymous)'}`
}

function add(sums: Map<string, number>, name: string, micros: number): void {
  sums.set(name, (sums.get(name) ?? 0) + micros)
}
