/** `npm run fuzz -- [--seed N] [--seconds N] [--inputs N]`: the long mode. Ends with exit code 1 if there is a finding. */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'
import { withRelayTarget } from './relay-target.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seconds: { type: 'string' }, inputs: { type: 'string' } },
})

function numberOf(name: keyof typeof values, fallback: number): number {
  const number = Number(values[name] ?? fallback)
  if (!Number.isFinite(number) || number < 0) throw new TypeError(`--${name} takes a number`)
  return number
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

const options = {
  seed: numberOf('seed', Date.now() % 2 ** 32),
  seconds: numberOf('seconds', 60),
  inputs: numberOf('inputs', Number.MAX_SAFE_INTEGER),
}
const { findings, codes, ...report } = await withRelayTarget((targetFor) => fuzz(targetFor, options))
const times = (defect: string): number => findings.filter((finding) => finding.defect === defect).length
console.table(codes)
console.log({
  ...report,
  crashes: times('crash') + unhandled.length,
  untypedErrors: times('untyped error'),
  falseAccepts: times('false accept'),
  goodRefused: times('good refused'),
})
for (const finding of findings.slice(0, 20)) console.log(finding)
process.exitCode = findings.length + unhandled.length === 0 ? 0 : 1
