/** Checks the versions of Node.js and OpenTelemetry, and whether there is more than one copy of its API. */

import { relative } from 'node:path'
import process from 'node:process'
import type { Environment } from '../../config/environment.ts'
import { VERSION } from '../../version.ts'
import type { Check, Section } from '../report.ts'
import type { InstalledPackage } from './packages.ts'
import { copiesOf, findPackage, isWithin } from './packages.ts'

const API = '@opentelemetry/api'
const SDK = '@opentelemetry/sdk-node'
const INSTRUMENTATIONS = ['@opentelemetry/instrumentation-http', '@opentelemetry/instrumentation-undici']

/** For programs in `folder`, started with `env`. */
export function checkVersions(folder: string, env: Environment): Section {
  const node: Check = { id: 'node.version', status: 'ok', text: `Node.js ${process.versions.node}` }
  return { title: 'Versions', checks: [node, checkRelay(folder), ...checkApi(folder), ...checkSdk(folder, env)] }
}

function checkRelay(folder: string): Check {
  const id = 'relay.version'
  const own = findPackage('otel-token-relay', folder)
  if (own === undefined) {
    const advice = 'npm install otel-token-relay, and run the doctor in the folder of the program'
    return { id, status: 'finding', text: `otel-token-relay is not installed for ${folder}`, advice }
  }
  if (own.version === VERSION) return { id, status: 'ok', text: `otel-token-relay ${own.version}` }
  const text = `the program has otel-token-relay ${own.version}, this doctor is of ${VERSION}`
  return { id, status: 'finding', text, advice: 'run the doctor with npx in the folder of the program' }
}

function checkApi(folder: string): readonly Check[] {
  const id = 'opentelemetry.api'
  const own = findPackage(API, folder)
  if (own === undefined)
    return [{ id, status: 'finding', text: `${API} is not installed`, advice: `npm install ${API}` }]
  const version: Check = isWithin(own.version, '1.9.0', '2.0.0')
    ? { id, status: 'ok', text: `${API} ${own.version}` }
    : { id, status: 'finding', text: `${API} ${own.version}: 1.9.0 or later is needed`, advice: `npm install ${API}` }
  return [version, ...checkCopies(folder, copiesOf(API, folder))]
}

/** Each version has its own idea of who has registered: a later one does not accept what an earlier one got. */
function checkCopies(folder: string, copies: readonly InstalledPackage[]): readonly Check[] {
  if (copies.length < 2) return []
  const id = 'opentelemetry.copies'
  const places = copies.map((copy) => `${copy.version} in ${relative(folder, copy.folder) || '.'}`).join(', ')
  const text = `${copies.length} copies of ${API}: ${places}`
  if (new Set(copies.map(({ version }) => version)).size === 1) return [{ id, status: 'note', text }]
  const advice = `one version refuses what another has registered: npm ls ${API}, then npm dedupe or overrides`
  return [{ id, status: 'finding', text, advice }]
}

function checkSdk(folder: string, env: Environment): readonly Check[] {
  const id = 'opentelemetry.sdk'
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') {
    return [{ id, status: 'ok', text: 'OTEL_SDK_DISABLED is true: there are no spans' }]
  }
  const found = [SDK, ...INSTRUMENTATIONS].map((name) => ({ name, found: findPackage(name, folder) }))
  const missing = found.filter((each) => each.found === undefined).map(({ name }) => name)
  if (missing.length > 0) {
    const advice = `npm install ${missing.join(' ')}; or OTEL_SDK_DISABLED=true, if there shall be no spans`
    return [{ id, status: 'finding', text: `no SDK to start: ${missing.join(', ')} not installed, no spans`, advice }]
  }
  return found.map(({ name, found: installed }) => checkLine(name, installed?.version ?? ''))
}

/** The lines that are tested: 0.200 belongs to SDK 2, 0.300 to SDK 3. */
function checkLine(name: string, version: string): Check {
  const id = name === SDK ? 'opentelemetry.sdk' : 'opentelemetry.instrumentation'
  const minimum = name.endsWith('undici') ? '0.10.0' : '0.200.0'
  if (isWithin(version, minimum, '1.0.0')) return { id, status: 'ok', text: `${name} ${version}` }
  const text = `${name} ${version} is of a line that is not supported`
  return { id, status: 'finding', text, advice: `npm install ${name}@latest` }
}
