/** The blocks of the first steps: the caller, a job, a message of its own, and where the calls go. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

it('caller.ts does what its comments say', async () => {
  stage.profiles.clear()
  const token = await stage.issuer.token()
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import { caller, orderHeaders, runJob } from './caller.ts'
    const token = process.env.TOKEN
    const outside = { caller: caller() ?? null, headers: orderHeaders() }
    const job = await runJob(token)
    const inside = await runWithToken(token, () => ({ caller: caller(), headers: orderHeaders() }))
    console.log(JSON.stringify({ outside, job, inside }))
    process.exit()`
  const env = { TOKEN: token, TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
  expect(await stage.drive(driver, ['--import', 'otel-token-relay/register'], env)).toEqual({
    outside: { caller: null, headers: {} },
    job: 200,
    inside: { caller: 'alice', headers: expect.objectContaining({ authorization: `Bearer ${token}` }) },
  })
  expect(stage.profiles.received).toMatchObject([{ target: '/jobs', authorization: [`Bearer ${token}`] }])
})

it('message.mjs does what its comment says', async () => {
  const driver = `
    import { senderOf } from './message.mjs'
    const good = await senderOf(process.env.TOKEN)
    const bad = (await senderOf('not a token')) ?? null
    console.log(JSON.stringify({ good, bad }))
    process.exit()`
  expect(await stage.drive(driver, [], { TOKEN: await stage.issuer.token() })).toEqual({ good: 'alice', bad: null })
})

it('message.mjs throws if the token cannot be checked', async () => {
  stage.issuer.setDown(true)
  const driver = `
    import { senderOf } from './message.mjs'
    const error = await senderOf(process.env.TOKEN).catch((error) => error)
    console.log(JSON.stringify([error.name, error.status]))
    process.exit()`
  const complaints = [
    expect.stringMatching(/^otel-token-relay: keys of .*: could not be fetched: the answer has an error status$/),
  ]
  const thrown = await stage
    .drive(driver, [], { TOKEN: await stage.issuer.token() }, complaints)
    .finally(() => stage.issuer.setDown(false))
  expect(thrown).toEqual(['UndecidedError', 503])
})

it('destinations.mjs lists where callers went, while nothing is sent', async () => {
  stage.profiles.clear()
  const driver = `
    import { runWithToken } from 'otel-token-relay'
    import { relay } from './tracing.mjs'
    import { seenDestinations } from './destinations.mjs'
    const call = (url) => runWithToken(process.env.TOKEN, () => fetch(url).then((response) => response.text()))
    await call(process.env.PROFILES)
    await call(process.env.PROFILES)
    await call(process.env.OTHER)
    console.log(JSON.stringify([relay.explain(process.env.PROFILES), seenDestinations()]))
    process.exit()`
  const other = stage.profiles.origin.replace('127.0.0.1', 'localhost')
  const env = { TOKEN: await stage.issuer.token(), PROFILES: stage.profiles.origin, OTHER: other }
  const tracing = readFileSync(join(stage.local.folder, 'tracing.mjs'), 'utf8')
  stage.local.write({
    'tracing.mjs': tracing.replace('createTokenRelay({', "createTokenRelay({ egress: { mode: 'report' },"),
  })
  const [explanation, seen] = (await stage
    .drive(driver, [], env)
    .finally(() => stage.local.write({ 'tracing.mjs': tracing }))) as [unknown, unknown]
  expect(explanation).toMatchObject({ rule: stage.profiles.origin, verdict: 'withhold', reason: 'report_only' })
  expect(seen).toEqual([{ to: stage.profiles.origin }, { to: other }])
  expect(stage.profiles.received.flatMap(({ authorization }) => authorization)).toEqual([])
})
