/** Opens an audit trail once it is asked to, says what came of it, writes a record, and keeps it until it is killed. */

import { once } from 'node:events'
import process from 'node:process'
import { Worker } from 'node:worker_threads'
import { openAuditTrail } from '../../src/audit/trail.ts'

const [file = '', how = ''] = process.argv.slice(2)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

say('ready')
if (how === 'threads') await openInTwoThreads()
else {
  await once(process.stdin, 'data')
  await open()
}
// The process that was asked to open it stays, whether it could or not.
setInterval(() => undefined, 1_000)

async function open(): Promise<void> {
  try {
    const trail = openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })
    const record = {
      timeMillis: 0,
      event: 'auth.token.verified',
      traceId: undefined,
      spanId: undefined,
      attributes: {},
    }
    await trail.append(record)
    say('written')
    process.stdin.once('end', () => trail.close().then(() => process.exit()))
  } catch (error) {
    const { name, isAlive } = error as { readonly name: string; readonly isAlive?: boolean }
    say(`${name} ${isAlive === false ? 'unknown' : 'alive'}`)
  }
}

/** In this thread, and then in another one of this process. */
async function openInTwoThreads(): Promise<void> {
  await open()
  const program = `import(${JSON.stringify(new URL('../../src/audit/trail.ts', import.meta.url).href)}).then(({ openAuditTrail }) => {
    try { openAuditTrail({ file: ${JSON.stringify(file)}, maxBytes: 1000000 }); return 'open' } catch (error) { return error.name }
  }).then((text) => require('node:worker_threads').parentPort.postMessage(text))`
  const [answer] = (await once(new Worker(program, { eval: true }), 'message')) as [string]
  say(`thread ${answer}`)
}
