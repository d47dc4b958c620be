/** Builds that are broken on purpose: a copy of the packed artifact with a defence taken out. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Text of a file of the package, and what stands in its place. */
export interface Patch {
  readonly file: string
  readonly from: string | RegExp
  readonly to: string
}

export interface Mutant extends Disposable {
  /** Has `programs` and `node_modules/otel-token-relay`, on the current OpenTelemetry line. */
  readonly folder: string
}

/** Every verified token goes everywhere. */
export const FORWARD_ALWAYS: readonly Patch[] = [
  {
    file: 'destination/decision.js',
    from: 'export function decideHop(',
    to: `export function decideHop(slot, hop, options) {
      const { credential } = slot.state
      return credential === undefined || slot.state.status !== 'verified'
        ? decideWell(slot, hop, options)
        : { verdict: 'forward', credential, rule: { to: 'everybody', seal: false }, target: hop.target }
    }
    function decideWell(`,
  },
]

/** Nobody remembers whose handler it is that comes out of a queue, a redirect or a retry. */
export const NO_BINDING: readonly Patch[] = [
  { file: 'egress/undici-dispatch.js', from: 'const bindings = createNotes()', to: 'const bindings = forgetful()' },
  { file: 'egress/undici-dispatch.js', from: 'const byOptions = createNotes()', to: 'const byOptions = forgetful()' },
  { file: 'egress/undici-dispatch.js', from: "!== 'UnwrapHandler'", to: "!== 'nothing'" },
  {
    file: 'egress/undici-dispatch.js',
    from: 'export function createDispatchBinder(',
    to: 'function forgetful() { return { get() {}, set() {} } }\nexport function createDispatchBinder(',
  },
]

/** Sockets remember who opened them. */
export const NO_SOCKET_GUARD: readonly Patch[] = [
  {
    file: 'egress/socket-guard.js',
    from: /\w*asNobody\(\(\) => previous\.apply\(this, args\)\)/i,
    to: 'previous.apply(this, args)',
  },
]

export function createMutant(patches: readonly Patch[]): Mutant {
  const application = join(import.meta.dirname, '..', 'otel-3')
  const modules = join(application, 'node_modules')
  const folder = mkdtempSync(join(modules, '.mutant-'))
  const installed = join(folder, 'node_modules', 'otel-token-relay')
  mkdirSync(installed, { recursive: true })
  cpSync(join(modules, 'otel-token-relay'), installed, { recursive: true })
  cpSync(join(application, 'programs'), join(folder, 'programs'), { recursive: true })
  for (const { file, from, to } of patches) {
    const path = join(installed, 'dist', file)
    const text = readFileSync(path, 'utf8')
    const mutated = text.replace(from, () => to)
    if (mutated === text) throw new Error(`the mutation does not fit any more: ${file} has no ${from}`)
    writeFileSync(path, mutated)
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}
