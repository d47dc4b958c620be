/** The blocks of work that runs later, and in other threads. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('async.mjs: callers that share things keep their own calls, and a batch of several has no caller', async () => {
  stage.profiles.clear()
  const tokens = await Promise.all(['alice', 'bob'].map((sub) => stage.issuer.token({ sub })))
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import './tracing.mjs'
    import { profiles, queue, sendViews, view } from './async.mjs'
    const tokens = JSON.parse(process.env.TOKENS)
    const asAll = (fn) => Promise.all(tokens.map((token, i) => runWithToken(token, () => fn(i))))
    await asAll(async (i) => {
      await queue.add(() => profiles().load(i))
      view(i)
    })
    const both = await sendViews()
    const mine = await runWithToken(tokens[0], async () => {
      view(2)
      return sendViews()
    })
    console.log(JSON.stringify([both, mine]))
    process.exit()`
  expect(await stage.drive(driver, [], { TOKENS: JSON.stringify(tokens) })).toEqual([200, 200])
  const sent = stage.profiles.received.map(({ target, authorization }) => [target, authorization[0]?.split(' ')[1]])
  expect(sent.slice(0, 2).toSorted()).toEqual(tokens.map((token, i) => [`/profiles/${i}`, token]))
  expect(sent.slice(2)).toEqual([
    ['/views', undefined],
    ['/views', tokens[0]],
  ])
})

it('gallery.mjs runs thumbnails.mjs in a thread as the caller', async () => {
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    const { thumbnail } = await import('./gallery.mjs')
    const names = ['a', 'b']
    const made = await runWithToken(process.env.TOKEN, () => Promise.all(names.map(thumbnail)))
    console.log(JSON.stringify([...made, await thumbnail('c')]))
    process.exit()`
  const env = {
    TOKEN: await stage.issuer.token(),
    TOKEN_RELAY_ISSUER: stage.issuer.issuer,
    TOKEN_RELAY_AUDIENCE: 'user-service',
    TOKEN_RELAY_DESTINATIONS: 'worker:thumbnails',
  }
  const made = await stage.drive(driver, ['--import', 'otel-token-relay/register'], env)
  expect(made).toEqual(['a for alice', 'b for alice', 'c for no caller'])
})
