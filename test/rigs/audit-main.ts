/** `npm run rig:audit -- [KILLS]`: the long mode. Ends with exit code 1 where a record was lost, or a trail was damaged. */

import process from 'node:process'
import { setup } from '../support/global-setup.ts'
import { runAuditRig } from './audit.ts'

const kills = Number(process.argv[2] ?? 10_000)
if (!Number.isSafeInteger(kills) || kills < 1) throw new TypeError('expected how often to kill')

setup()
const report = await runAuditRig({ kills, onProgress: (soFar) => console.log(soFar) })
console.log(report)
const isClean = report.lost + report.failed + Object.keys(report.findings).length === 0
process.exitCode = isClean && report.kills === kills ? 0 : 1
