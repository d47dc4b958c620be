/**
 * `npm run rig:leak -- [--requests N] [--seed N] [--build relay|naive]`: the long mode. Ends with exit code 1 where a
 * piece of a token was found in the wrong place, or a named place got something else than it should.
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { setup } from '../support/global-setup.ts'
import type { LeakReport } from './leak.ts'
import { runLeakRig } from './leak.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    build: { type: 'string', default: 'relay' },
  },
})

function numberOf(name: 'requests' | 'seed'): number {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`--${name} takes a whole number`)
  return number
}

let reportedAt = Date.now()
function progress({ planned, token, none, missing, wrong, leaks }: LeakReport): void {
  if (Date.now() - reportedAt < 5000) return
  reportedAt = Date.now()
  console.log(`${planned} planned: ${token} with token, ${none} without, ${missing} missing, ${wrong} wrong`, leaks)
}

setup()
const report = await runLeakRig({
  seed: numberOf('seed'),
  requests: numberOf('requests'),
  build: values.build === 'naive' ? 'naive' : 'relay',
  onProgress: progress,
})
console.log(report)
process.exitCode = report.wrong + report.missing + Object.keys(report.leaks).length === 0 ? 0 : 1
