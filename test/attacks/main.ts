/** `npm run attacks`: writes into docs/contribute/attacks.md which tests hold each row. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTestFiles, titlesOf } from '../architecture/titles.ts'
import { ROOT, readDocument } from '../docs/markdown.ts'
import { writeAttacks } from './list.ts'

const name = 'docs/contribute/attacks.md'
writeFileSync(join(ROOT, name), writeAttacks(readDocument(name), titlesOf(readTestFiles())))
