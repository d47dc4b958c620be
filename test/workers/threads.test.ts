/** Threads and pools of a real process run every task as its caller, and open a hand-over once among all of them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Program } from '../support/process.ts'
import type { WorkerRig } from './rig.ts'
import { HONEST, startWorkerRig, WAYS } from './rig.ts'

let rig: WorkerRig
beforeAll(async () => {
  rig = await startWorkerRig()
})
afterAll(() => rig[Symbol.asyncDispose]())

const SEAL = {
  name: 'SealError',
  code: 'ERR_TOKEN_SEAL',
  message: 'the token is not sealed for this message, or cannot be opened',
}
const errors = { fail: { name: 'RangeError', message: 'mine', cause: 'cause' }, result: 'bigint' }
const ENDED = { name: 'Error', message: 'the worker ended before its task' }

describe.each(WAYS)('with %s', (way) => {
  let program: Program
  beforeAll(() => {
    program = rig.start('threads.cjs', way)
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it('a pool runs each task as its caller, and opens each hand-over once', async () => {
    const { posted, refused, ...pool } = await program.report<Record<string, unknown>>('pool')
    expect(pool).toMatchObject({ ...HONEST, ...errors, other: SEAL, opened: 1 })
    // The pool cloned the error, without its code.
    expect(refused).toMatchObject({ message: SEAL.message })
    // Without an SDK there is no trace.
    expect(pool['traceId']).toBe(way === 'register' ? '0af7651916cd43dd8448eb211c80319c' : '0'.repeat(32))
    const text = JSON.stringify(posted)
    expect(text).toContain('Sealed ')
    expect(rig.leaks(text)).toBe(false)
  })

  it('threads run each task as its caller, and fail with its error', async () => {
    const threads = await program.report<Record<string, unknown>>('threads')
    expect(threads).toMatchObject({ ...HONEST, ...errors, refused: SEAL, lost: ENDED, late: ENDED, moved: [8, 0] })
    expect(threads['uncloneable']).toMatchObject({ name: 'DataCloneError' })
    expect(threads['aborted']).toMatchObject({ name: 'TimeoutError' })
  })

  it('workerData carries a hand-over for one thread', async () => {
    const { first, second } = await program.report<Record<string, unknown>>('data')
    expect({ first, second }).toEqual({
      first: ['caller-0', 'ERR_TOKEN_SEAL', 'nobody'],
      second: ['ERR_TOKEN_SEAL', 'ERR_TOKEN_SEAL', 'nobody'],
    })
  })
})
