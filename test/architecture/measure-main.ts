/** `npm run measure [-- FOLDER]`: prints the measures of `src`, or of another folder of TypeScript. */

import { resolve } from 'node:path'
import process from 'node:process'
import { findCycles, functionsOf, lineKindsOf, linesOf, quantile } from './measures.ts'
import { readSources, SRC } from './source.ts'

const folder = process.argv[2] === undefined ? SRC : resolve(process.argv[2])
const files = readSources(folder)
const lengths = files.map(linesOf)
const functions = files.flatMap(functionsOf)
const functionLengths = functions.map(({ lines }) => lines)
const longest = functions.toSorted((a, b) => b.lines - a.lines).slice(0, 10)
const kinds = files.map(lineKindsOf)
const total = (kind: 'code' | 'doc' | 'comment') => kinds.reduce((sum, each) => sum + each[kind], 0)
const ratio = (kind: 'doc' | 'comment') => (total(kind) / total('code')).toFixed(2)

const measures = {
  files: files.length,
  lines: lengths.reduce((sum, each) => sum + each, 0),
  'file length: median, p90, longest': [quantile(lengths, 0.5), quantile(lengths, 0.9), Math.max(...lengths)].join(
    ', ',
  ),
  'files of 30 lines or fewer': lengths.filter((length) => length <= 30).length,
  'files of more than 330 lines': lengths.filter((length) => length > 330).length,
  'function length: median, p95, longest': [
    quantile(functionLengths, 0.5),
    quantile(functionLengths, 0.95),
    Math.max(...functionLengths),
  ].join(', '),
  'functions of more than 60 lines': functionLengths.filter((length) => length > 60).length,
  'files in import cycles': findCycles(files).length,
  'doc/code, comment/code': `${ratio('doc')}, ${ratio('comment')}`,
  'longest functions': longest.map(({ file, name, lines }) => `${file} ${name} ${lines}`).join('; '),
}

for (const [name, value] of Object.entries(measures)) process.stdout.write(`${name}: ${value}\n`)
