/** `npm run reference`: writes the reference and the JSON Schema; with `--check` only says which files are stale. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { ROOT, readDocument } from '../docs/markdown.ts'
import { renderReference } from './render.ts'

const isCheck = process.argv.includes('--check')
for (const [file, text] of renderReference()) {
  if (existsSync(join(ROOT, file)) && readDocument(file) === text) continue
  process.stdout.write(`${file} ${isCheck ? 'is stale: run `npm run reference`' : 'written'}\n`)
  if (isCheck) process.exitCode = 1
  else writeFileSync(join(ROOT, file), text)
}
