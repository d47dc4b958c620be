/** `otel-token-relay doctor`: checks a set-up from its configuration to the running program. */

import process from 'node:process'
import type { Settings } from '../../config/options.ts'
import type { Configuration } from '../configuration.ts'
import { isAbsent, readConfiguration } from '../configuration.ts'
import type { Check, Report, Section } from '../report.ts'
import { findingsOf, printReport, UsageError } from '../report.ts'
import { checkAgents, preloadsOf } from './agents.ts'
import { checkIssuer } from './issuers.ts'
import { checkProgram } from './program.ts'
import { checkVersions } from './versions.ts'

export interface DoctorOptions {
  readonly config?: string
  readonly json?: boolean
  /** In seconds. */
  readonly wait: number
  /** The program to start, with its arguments. */
  readonly program?: readonly string[] | undefined
}

/** Prints what it finds. Resolves with the exit code. */
export async function doctor({ config, json = false, wait, program }: DoctorOptions): Promise<number> {
  if (program?.length === 0) throw new UsageError('expected a program after --')
  const folder = process.cwd()
  const configuration = readConfiguration(config)
  const { env, settings } = configuration
  const issuers = settings?.issuers ?? []
  const sections = [
    checkVersions(folder, env),
    { title: 'Configuration', checks: checkConfiguration(configuration, program !== undefined) },
    ...(await Promise.all(issuers.map((issuer, index) => checkIssuer(issuer, `issuers[${index}]`)))),
    checkAgents(folder, preloadsOf(env, program)),
    ...(program === undefined ? [] : await checkProgram(program, { env, settings, wait })),
  ]
  return printReport(reportOf(sections, program), json)
}

function reportOf(sections: readonly Section[], program: readonly string[] | undefined): Report {
  const report = { command: 'doctor', sections, conclusion: '' }
  const findings = findingsOf(report).length
  const next = program === undefined ? ' To check servers and clients too: doctor -- node app.js' : ''
  const conclusion = findings === 0 ? 'No findings.' : `${findings} ${findings === 1 ? 'finding' : 'findings'}.`
  return { ...report, conclusion: `${conclusion}${next}` }
}

function checkConfiguration(configuration: Configuration, hasProgram: boolean): readonly Check[] {
  const { settings, problem, source } = configuration
  const id = 'configuration'
  if (isAbsent(configuration)) {
    const text = 'there is none: no TOKEN_RELAY_* variables and no --config'
    const advice = 'npx otel-token-relay init writes one'
    return [{ id, status: hasProgram ? 'note' : 'finding', text, advice }]
  }
  if (settings === undefined) return [{ id, status: 'finding', text: problem ?? 'it cannot be read' }]
  return [
    { id, status: 'ok', text: `read from ${source}` },
    checkMode(settings),
    checkRules(settings),
    ...hintsOn(settings),
  ]
}

function checkMode({ ingress, egress }: Settings): Check {
  const text = `ingress.mode is ${ingress.mode}, egress.mode is ${egress.mode}`
  return {
    id: 'configuration.modes',
    status: ['off', 'report'].includes(ingress.mode) || egress.mode === 'report' ? 'note' : 'ok',
    text,
  }
}

function checkRules({ rules }: Settings): Check {
  const id = 'configuration.destinations'
  if (rules.length === 0) return { id, status: 'note', text: 'destinations is empty: tokens go nowhere' }
  return { id, status: 'ok', text: `tokens may go to ${rules.map(({ to }) => to).join(', ')}` }
}

/** The port that examples of gRPC use. */
const GRPC_PORT = 50_051

function hintsOn({ rules }: Settings): readonly Check[] {
  return rules.flatMap(({ to, pattern }, index) => {
    if (pattern.kind !== 'network' || pattern.port !== GRPC_PORT || pattern.scheme.startsWith('grpc')) return []
    const named = to.replace(/^http/, 'grpc')
    const text = `destinations[${index}] "${to}" does not name gRPC, and ${GRPC_PORT} is the usual port of gRPC`
    return [{ id: 'configuration.grpc', status: 'note', text, advice: `for calls of gRPC write ${named}` } as const]
  })
}
