/** Writes an audit trail until it is killed, and says which records were acknowledged. */

import process from 'node:process'
import { openAuditTrail } from '../../src/audit/trail.ts'

const [file = '', maxBytes = ''] = process.argv.slice(2)
const trail = openAuditTrail({ file, maxBytes: Number(maxBytes), key: undefined })
process.stdout.write('open\n')
for (let id = 0; ; id += 1) {
  const record = {
    timeMillis: Date.now(),
    event: 'auth.token.verified',
    traceId: undefined,
    spanId: undefined,
    attributes: { id },
  }
  const appended = trail.append(record).then(() => process.stdout.write(`${id}\n`))
  // Groups of different sizes.
  if (id % 7 === 0) await appended
}
