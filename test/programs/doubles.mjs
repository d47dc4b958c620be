/** A test that puts doubles in place of functions of Node.js, imported by name, and takes them away again. */

import fs, { readFileSync } from 'node:fs'
import http, { request } from 'node:http'
import net, { connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'

const places = [
  [net, 'connect', () => connect],
  [fs, 'readFileSync', () => readFileSync],
  [http, 'request', () => request],
]
const before = places.map(([, , imported]) => imported())
const originals = places.map(([owner, name]) => owner[name])
for (const [owner, name] of places) owner[name] = function double() {}
// Until whatever was put off at the start is done.
for (let turn = 0; turn < 5; turn += 1) await setImmediate()
for (const [i, [owner, name]] of places.entries()) owner[name] = originals[i]

const isKept = places.map(([, name, imported], i) => [name, imported() === before[i]])
process.stdout.write(`${JSON.stringify({ isKept: Object.fromEntries(isKept) })}\n`)
process.exit()
