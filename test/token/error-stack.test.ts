/** A token error that is thrown to the application has the stack of its call; the error of a refused request has none. */

import { expect, it } from 'vitest'
import { runWithToken } from '../../src/index.ts'
import { optionsFor, withRelay } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const options = optionsFor([createSigner().jwk])
const stackOf = (error: unknown): string => String((error as Error).stack)

it.each([
  ['relay.verify', 'a.b.c'],
  ['relay.verify for an opaque token', 'opaque'],
])('an error of %s has the stack of its caller', async (_, token) => {
  await withRelay(options, async (relay) => {
    async function askedHere(): Promise<unknown> {
      return await relay.verify(token)
    }
    expect(stackOf(await askedHere().catch((error: unknown) => error))).toContain('askedHere')
  })
})

it('an error of runWithToken has the stack of its caller', async () => {
  await withRelay(options, async () => {
    async function askedHere(): Promise<unknown> {
      return await runWithToken('a.b.c', () => undefined)
    }
    expect(stackOf(await askedHere().catch((error: unknown) => error))).toContain('askedHere')
  })
})

it('the error of a refused request has no stack, and leaves the stack limit unchanged', async () => {
  await withRelay(options, async (relay) => {
    const { stackTraceLimit } = Error
    const admission = await relay.admit({ headers: { authorization: 'Bearer a.b.c' } })
    expect(admission).toMatchObject({ admitted: false, error: { code: 'ERR_TOKEN_MALFORMED' } })
    if (!admission.admitted) expect(stackOf(admission.error)).not.toContain('\n')
    expect(Error.stackTraceLimit).toBe(stackTraceLimit)
  })
})
