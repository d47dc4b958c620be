/** `npm run vectors`: writes docs/vectors. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../docs/markdown.ts'
import { createVectors, renderVectors, VECTORS_FILE } from './vectors.ts'

writeFileSync(join(ROOT, VECTORS_FILE), renderVectors(await createVectors()))
