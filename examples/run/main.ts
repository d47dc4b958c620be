/** `npm run example NAME [-- --serve]`: starts an example with an identity provider, and asks it what a reader would. */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { interruption } from '../demo/stage/interruption.ts'
import { EXAMPLES } from './examples.ts'
import { createRig } from './rig.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { serve: { type: 'boolean', default: false } },
})
const [name = ''] = positionals
const play = EXAMPLES[name]

if (play === undefined) {
  console.error(`npm run example NAME, where NAME is one of: ${Object.keys(EXAMPLES).join(', ')}`)
  process.exit(2)
}

const interrupted = interruption()
const stack = new AsyncDisposableStack()
process.exitCode = 1
try {
  const rig = await createRig(stack)
  await Promise.race([play(rig), interrupted])
  if (rig.hasSucceeded()) process.exitCode = 0
  if (values.serve) {
    await rig.invite()
    await interrupted
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : 'The example failed.')
} finally {
  await stack.disposeAsync()
  process.exit()
}
