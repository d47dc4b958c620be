/** Requests that are 503 because of the audit trail are counted as undecided, with their code: an alert looks for that. */

import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import { bearer, startService, tokenOf } from '../support/service.ts'

const CODE = 'ERR_TOKEN_AUDIT_UNAVAILABLE'
let root: string
let recorded: RecordedMetrics
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'audited-'))
  recorded = recordMetrics()
})
afterEach(async () => {
  await recorded[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

async function undecided(): Promise<number> {
  const points = (await recorded.values('auth.verifications')) as readonly (readonly [
    Record<string, unknown>,
    number,
  ])[]
  const ours = points.filter(([attributes]) => attributes['auth.verification.outcome'] === 'undecided')
  expect(ours.map(([attributes]) => attributes['error.type'])).toEqual(ours.map(() => CODE))
  return ours.reduce((sum, [, count]) => sum + count, 0)
}

it('each of them, whether the token was remembered or not, by the gate and by relay.verify', async () => {
  const folder = join(mkdtempSync(join(root, 'a')), 'trail')
  renameSync(mkdtempSync(join(root, 'b')), folder)
  const audit: TokenRelayOptions['audit'] = { file: join(folder, 'audit.jsonl'), onFailure: 'block' }
  await using service = await startService({
    options: { audit },
    handler: (_, response) => void response.end('hello'),
  })
  const [known, unknown] = [tokenOf(), tokenOf({ sub: 'bob' })]
  const statusOf = async (token: string): Promise<number> => Number((await service.send([bearer(token)])).slice(9, 12))
  expect(await statusOf(known)).toBe(200)
  expect(await undecided()).toBe(0)
  renameSync(folder, `${folder}-away`)
  let refused = 0
  for (const token of [known, unknown, known, unknown]) {
    if ((await statusOf(token)) === 503) refused += 1
  }
  expect(refused).toBe(4)
  expect(await undecided()).toBe(4)
  await expect(service.relay.verify(known)).rejects.toMatchObject({ code: CODE })
  expect(await undecided()).toBe(5)
  renameSync(`${folder}-away`, folder)
})
