/** One line at start that says what is in place, because a process without a gate looks like one with it. */

import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { packageUrl } from '../base/package-url.ts'
import type { Settings } from '../config/options.ts'
import { operatorLog } from '../telemetry/operator-log.ts'
import { quote } from '../token/refusal-detail.ts'
import { VERSION } from '../version.ts'

/** `found`: the program has one. `started`: `register` has started it. `none`: there is none so far. */
export type SdkState = 'found' | 'started' | 'none'

let hasWritten = false

/** Writes the line, once per process: worker threads have the settings of the main thread, and are silent. */
export function writeStartLine({ ingress, issuers, rules, egress }: Settings, hasGate: boolean, sdk: SdkState): void {
  if (hasWritten || !isMainThread || operatorLog === undefined) return
  hasWritten = true
  const gate = ingress.mode === 'off' ? 'off' : hasGate ? 'all servers' : 'none until relay.instrumentation is read'
  const agents = otherAgents()
  operatorLog.write({
    severity: 'info',
    event: 'start',
    cause: 'started',
    message: [
      `version ${VERSION}`,
      `gate: ${gate}`,
      `ingress.mode: ${ingress.mode}`,
      `issuers: ${issuers.length === 0 ? 'by resolveIssuer' : quote(issuers.map(({ issuer }) => issuer))}`,
      `destinations: ${rules.length}${egress.mode === 'report' ? ' (egress.mode: report)' : ''}`,
      `OpenTelemetry SDK: ${sdk}`,
      `other agents: ${agents.length === 0 ? 'none' : agents.join(', ')}`,
    ].join('; '),
    attributes: () => ({
      'service.version': VERSION,
      gate,
      'ingress.mode': ingress.mode,
      'egress.mode': egress.mode,
      issuers: issuers.map(({ issuer }) => issuer),
      destinations: rules.length,
      sdk,
      agents,
    }),
  })
}

const API = Symbol.for('opentelemetry.js.api.1')

/** Whether a tracer provider is registered with the API, by any copy of it. */
export function findSdk(): SdkState {
  const api = Reflect.get(globalThis, API) as { readonly trace?: unknown } | undefined
  return api?.trace === undefined ? 'none' : 'found'
}

/** Packages that patch the same functions of Node as the relay and OpenTelemetry do. */
const AGENTS =
  /[\\/]node_modules[\\/](newrelic|dd-trace|elastic-apm-node|@sentry[\\/]node|@dynatrace[\\/]oneagent|appdynamics|applicationinsights|@appsignal[\\/]nodejs|@splunk[\\/]otel|@contrast[\\/]agent)[\\/]/

/** Those that are loaded by now. Of ES modules only those are seen that say so in a global. */
function otherAgents(): readonly string[] {
  const loaded = Object.keys(createRequire(packageUrl).cache).flatMap((file) => AGENTS.exec(file)?.[1] ?? [])
  const globals = Object.entries({ _ddtrace: 'dd-trace', __SENTRY__: '@sentry/node' })
  const known = globals.flatMap(([name, agent]) => (Object.hasOwn(globalThis, name) ? [agent] : []))
  return [...new Set([...loaded, ...known].map((name) => name.replaceAll('\\', '/')))]
}
