/** Builds that are broken on purpose: a copy of the packed artifact with a defence taken out. */

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as audit from '../../src/audit/audit.ts'
import type * as writer from '../../src/audit/writer.ts'
import type * as withoutCaller from '../../src/context/without-caller.ts'
import type * as decision from '../../src/destination/decision.ts'
import type * as obstacle from '../../src/egress/sockets/obstacle.ts'
import type * as bindings from '../../src/egress/undici/bindings.ts'
import type * as byteList from '../../src/telemetry/redaction/byte-list.ts'
import type * as encodedParts from '../../src/telemetry/redaction/encoded-parts.ts'
import type * as escapes from '../../src/telemetry/redaction/escapes.ts'
import type * as processor from '../../src/telemetry/redaction/redacting-processor.ts'

type OpenTelemetryApi = typeof import('@opentelemetry/api')

/** An exported function of the package, and what takes its place for all its callers. */
export interface Replacement {
  readonly name: string
  /** The text of a function of the original function and the API of OpenTelemetry. */
  readonly by: string
}

/**
 * Makes replacements of exports of the module `M`. Its types hold them: a rename in `src` is a type error here. `by` becomes
 * text, so it can use nothing but its parameters.
 */
function replacing<M extends object>() {
  return <Name extends keyof M & string>(
    name: Name,
    by: (original: M[Name], api: OpenTelemetryApi) => M[Name],
  ): Replacement => ({ name, by: String(by) })
}

type Forwarded = Extract<decision.Decision, { verdict: 'forward' }>

/** Every verified token goes to every destination. */
const FORWARD_ALWAYS = replacing<typeof decision>()('createDecide', (createDecide) => (options, observe) => {
  const decide = createDecide(options, observe)
  return (ctx, hop) => {
    const decided = decide(ctx, hop)
    if (decided?.verdict !== 'withhold' || decided.subject === undefined) return decided
    const rule = { to: 'everywhere', seal: false, pattern: { wildcard: true } } as unknown as Forwarded['rule']
    return { verdict: 'forward', credential: decided.subject, rule, target: hop.target as Forwarded['target'] }
  }
})

/** Every way out decides for the caller who is active when it decides, not for the caller whose request it is. */
const DECIDED_AS_ACTIVE = replacing<typeof decision>()('createDecide', (createDecide, { context }) => (...args) => {
  const decide = createDecide(...args)
  return (_, hop) => decide(context.active(), hop)
})

/** No handler of undici is bound: it works for the caller who is active when a queue or a retry lets it out. */
const NO_BINDING = replacing<typeof bindings>()('createBindings', (_, { context }) => () => {
  const bindActive = () => ({ caller: context.active(), doubt: undefined, isProxied: false })
  return {
    bindingOf: () => undefined,
    assign: () => undefined,
    bindAtDispatcher: bindActive,
    bindFromInterceptor: bindActive,
  }
})

/** What delivers for all callers, sockets above all, remembers the caller who made it. */
const NO_GUARD = replacing<typeof withoutCaller>()('runWithoutCaller', () => (fn) => fn())

/** Sockets that agents of the application hand out lead where the request says. */
const AGENTS_BELIEVED = replacing<typeof obstacle>()('obstacleOnAgentSocket', () => () => undefined)

/** Records are acknowledged before they are written. */
const ACKNOWLEDGED_TOO_EARLY = replacing<typeof writer>()('createWriter', (createWriter) => (...args) => {
  const slow = createWriter(...args)
  let written = Promise.resolve()
  return {
    release: () => slow.release(),
    finish: () => slow.finish(),
    write(records) {
      const pause = () => new Promise((resolve) => setTimeout(resolve, 15))
      written = written.then(pause).then(() => slow.write(records))
      return Promise.resolve()
    },
  }
})

/** Admission does not wait until the trail has acknowledged its record. */
const NOT_ACKNOWLEDGED = replacing<typeof audit>()('openAudit', (openAudit) => (options) => {
  const opened = openAudit(options)
  return opened && { ...opened, acknowledged: () => undefined }
})

/** Span and log processors get what was recorded. */
const NO_REDACTION = replacing<typeof processor>()('createRedactingProcessor', () => (target) => target)

/** Tokens are redacted as they are, and in no encoding. */
const NO_ENCODINGS: readonly Replacement[] = [
  replacing<typeof encodedParts>()('createEncodedParts', (createEncodedParts) => (judge) => {
    const literal: typeof judge = {
      decodes: false,
      isToken: (...run) => judge.isToken(...run),
      memoryFor: (size) => judge.memoryFor(size),
      holdsSecret: () => false,
    }
    return createEncodedParts(literal)
  }),
  replacing<typeof byteList>()('forEachByteList', () => () => undefined),
  replacing<typeof escapes>()('decodeEscapes', () => () => false),
]

/** The broken builds, by the defence that they lack. */
export const MUTATIONS = {
  forwardAlways: [FORWARD_ALWAYS],
  decidedAsActive: [DECIDED_AS_ACTIVE],
  noBinding: [NO_BINDING],
  noBindingNorGuard: [NO_BINDING, NO_GUARD],
  agentsBelieved: [AGENTS_BELIEVED],
  decidedAsOpener: [DECIDED_AS_ACTIVE, NO_GUARD],
  acknowledgedTooEarly: [ACKNOWLEDGED_TOO_EARLY],
  notAcknowledged: [NOT_ACKNOWLEDGED],
  noRedaction: [NO_REDACTION],
  noEncodings: NO_ENCODINGS,
} as const satisfies Readonly<Record<string, readonly Replacement[]>>

export interface Mutant extends Disposable {
  /** Has `programs` and `node_modules/otel-token-relay`, on the current OpenTelemetry line. */
  readonly folder: string
}

/** Copies the packed artifact without what `mutation` takes out. Throws if the artifact has no such functions. */
export function createMutant(mutation: keyof typeof MUTATIONS): Mutant {
  const application = join(import.meta.dirname, '..', 'otel-3')
  const modules = join(application, 'node_modules')
  const folder = mkdtempSync(join(modules, '.mutant-'))
  const installed = join(folder, 'node_modules', 'otel-token-relay')
  mkdirSync(installed, { recursive: true })
  cpSync(join(modules, 'otel-token-relay'), installed, { recursive: true })
  cpSync(join(application, 'programs'), join(folder, 'programs'), { recursive: true })
  for (const replacement of MUTATIONS[mutation]) replaceExport(join(installed, 'dist'), replacement)
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

function replaceExport(dist: string, { name, by }: Replacement): void {
  const { path, text } = moduleOfFunction(dist, name)
  const lines = [
    text.replace(declarationOf(name), `$1${name}_original(`),
    `import * as ${name}_api from '@opentelemetry/api'`,
    // A declaration, which is there before the module begins, as the one that it replaces.
    `function ${name}(...args) {`,
    `  ${name}.replacement ??= (${by})(${name}_original, ${name}_api)`,
    `  return ${name}.replacement(...args)`,
    '}',
  ]
  writeFileSync(path, `${lines.join('\n')}\n`)
}

function declarationOf(name: string): RegExp {
  return new RegExp(`^((?:async )?function )${name}\\(`, 'm')
}

/** The one module of the artifact that declares the function `name`. */
function moduleOfFunction(dist: string, name: string): { readonly path: string; readonly text: string } {
  const modules = readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => ({ path: join(dist, file), text: readFileSync(join(dist, file), 'utf8') }))
    .filter(({ text }) => declarationOf(name).test(text))
  const [module] = modules
  if (module === undefined) throw new Error(`the mutation does not fit any more: nothing declares ${name}`)
  if (modules.length > 1) throw new Error(`the mutation is ambiguous: ${modules.length} modules declare ${name}`)
  return module
}
