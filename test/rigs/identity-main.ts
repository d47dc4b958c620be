/**
 * `npm run rig:identity -- [--requests N] [--seed N] [--processes N] [--build relay|naive] [--line otel-2|otel-3]`: the long
 * mode. Ends with exit code 1 if a request left with another caller's token, or without its own while its caller was there.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { setup } from '../support/global-setup.ts'
import type { IdentityReport } from './identity.ts'
import { runIdentityRig } from './identity.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: '1' },
    build: { type: 'string', default: 'relay' },
    line: { type: 'string', default: 'otel-3' },
  },
})

function numberOf(name: 'requests' | 'seed' | 'processes'): number {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`--${name} takes a whole number`)
  return number
}

let reportedAt = Date.now()
function progress({ requests, right, left, missing, wrong, perSecond }: IdentityReport): void {
  if (Date.now() - reportedAt < 5000) return
  reportedAt = Date.now()
  console.log(`${requests} requests: ${right} right, ${left} left, ${missing} missing, ${wrong} wrong; ${perSecond}/s`)
}

setup()
const report = await runIdentityRig({
  seed: numberOf('seed'),
  requests: numberOf('requests'),
  processes: numberOf('processes'),
  build: values.build === 'naive' ? 'naive' : 'relay',
  line: values.line === 'otel-2' ? 'otel-2' : 'otel-3',
  onProgress: progress,
})
console.log(report)
process.exitCode = report.wrong + report.missing + report.failures.length === 0 ? 0 : 1
