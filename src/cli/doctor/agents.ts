/** Finds other agents that patch the same clients and servers, and the order in which they are loaded. */

import type { Environment } from '../../config/environment.ts'
import type { Check, Section } from '../report.ts'
import { findPackage } from './packages.ts'

interface Agent {
  readonly name: string
  /** Its package. */
  readonly package: string
  /** Matches what preloads it. */
  readonly preload: RegExp
}

const AGENTS: readonly Agent[] = [
  { name: 'New Relic', package: 'newrelic', preload: /(^|\/)newrelic(\/|$)/ },
  { name: 'Datadog', package: 'dd-trace', preload: /(^|\/)dd-trace(\/|$)/ },
  { name: 'Elastic APM', package: 'elastic-apm-node', preload: /(^|\/)elastic-apm-node(\/|$)/ },
  { name: 'Sentry', package: '@sentry/node', preload: /(^|\/)@sentry\/(node|nestjs|aws-serverless)(\/|$)/ },
  {
    name: 'OpenTelemetry auto-instrumentations',
    package: '@opentelemetry/auto-instrumentations-node',
    preload: /auto-instrumentations-node(\/|$)/,
  },
]

const REGISTER = /(^|\/)otel-token-relay\/(dist\/)?register(\/|$)/

/** What `node` preloads by `env` and by the options of `program`, in its order. */
export function preloadsOf(env: Environment, program: readonly string[] = []): readonly string[] {
  const words = [...wordsOf(env['NODE_OPTIONS'] ?? ''), ...nodeOptionsOf(program)]
  const found = words.flatMap((word, index) => {
    const match = /^(-r|--require|--import)(?:=(.*))?$/.exec(word)
    const module = match === null ? undefined : (match[2] ?? words[index + 1])
    return module === undefined ? [] : [{ module, isRequire: match?.[1] !== '--import' }]
  })
  // Node.js runs all of --require before any of --import.
  return [...found.filter(({ isRequire }) => isRequire), ...found.filter(({ isRequire }) => !isRequire)].map(
    ({ module }) => module,
  )
}

function wordsOf(text: string): readonly string[] {
  return Array.from(text.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? '')
}

/** The options of `node …`, up to the script. */
function nodeOptionsOf(program: readonly string[]): readonly string[] {
  if (!/(^|[/\\])node(\.exe)?$/.test(program[0] ?? '')) return []
  const options = program.slice(1)
  const script = options.findIndex(
    (word, index) => !word.startsWith('-') && !/^(-r|--require|--import)$/.test(options[index - 1] ?? ''),
  )
  return script === -1 ? options : options.slice(0, script)
}

/** For programs in `folder`. */
export function checkAgents(folder: string, preloads: readonly string[]): Section {
  const installed = AGENTS.filter((agent) => findPackage(agent.package, folder) !== undefined)
  const checks = installed.map((agent) => checkAgent(agent, preloads))
  return { title: 'Preloads and other agents', checks: [checkPreloads(preloads), ...checks] }
}

function checkPreloads(preloads: readonly string[]): Check {
  const id = 'preload.order'
  if (preloads.some((module) => REGISTER.test(module))) {
    return { id, status: 'ok', text: `preloaded, in this order: ${preloads.map(labelOf).join(', ')}` }
  }
  const others = preloads.length === 0 ? 'nothing' : preloads.map(labelOf).join(', ')
  const text = `otel-token-relay/register is not preloaded by NODE_OPTIONS or the given command, which preload ${others}`
  const advice = 'start with node --import otel-token-relay/register, unless the program calls createTokenRelay'
  return { id, status: 'note', text, advice }
}

/** A path names only its package. */
function labelOf(module: string): string {
  if (REGISTER.test(module)) return 'otel-token-relay/register'
  return (
    AGENTS.find(({ preload }) => preload.test(module))?.package ??
    (/^[@\w./-]{1,60}$/.test(module) ? module : 'a module')
  )
}

/** Tested in both orders. The order still says who of them sees a request first. */
function checkAgent({ name, package: label, preload }: Agent, preloads: readonly string[]): Check {
  const id = `agent.${label}`
  const [own = -1, other = -1] = [REGISTER, preload].map((pattern) => preloads.findIndex((each) => pattern.test(each)))
  if (other === -1) {
    const text = `${name} (${label}) is installed and not preloaded; the program may load it later`
    return { id, status: 'ok', text }
  }
  const place = own === -1 ? 'preloaded' : `preloaded ${other < own ? 'before' : 'after'} the relay`
  return { id, status: 'ok', text: `${name} (${label}) is ${place}` }
}
