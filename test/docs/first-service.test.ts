/** The way of a newcomer: the issuer of the page without code, and a service that accepts its token. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { quietEnvironment } from '../package/scratch.ts'
import { close, listen } from '../support/issuer.ts'
import { complaintsIn } from '../support/process.ts'
import { fileOf } from './blocks.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

interface RunningIssuer extends AsyncDisposable {
  readonly issuer: string
  readonly token: string
}

/** Starts `issuer.mjs`, on another port than 9000. */
async function startPrintedIssuer(): Promise<RunningIssuer> {
  const placeholder = createServer()
  const port = String(await listen(placeholder))
  await close(placeholder)
  stage.local.write({ 'issuer.mjs': fileOf('issuer.mjs').text.replaceAll('9000', port) })
  const child = spawn('node', [join(stage.local.folder, 'issuer.mjs')], { env: quietEnvironment() })
  const ended = once(child, 'close')
  for await (const token of createInterface({ input: child.stdout })) {
    return {
      issuer: `http://localhost:${port}`,
      token,
      async [Symbol.asyncDispose]() {
        child.kill()
        await ended
      },
    }
  }
  throw new Error('issuer.mjs has printed nothing')
}

it('node issuer.mjs: its token is good for whoami.mjs, and another text is not', async () => {
  await using issuer = await startPrintedIssuer()
  const variables = `TOKEN_RELAY_ISSUER=${issuer.issuer} TOKEN_RELAY_AUDIENCE=user-service`
  const command = `${variables} node --require otel-token-relay/register whoami.mjs`
  await using running = await stage.start(stage.localized(command), stage.local.folder)
  const response = await stage.get('/', issuer.token)
  expect([response.status, await response.text()]).toEqual([200, 'Hello, ada'])
  expect((await stage.get('/', `${issuer.token}x`)).status).toBe(401)
  expect(complaintsIn(running.output())).toEqual([])
})

it.each([
  ['along, if a rule names where', true, [200, 'Hello, Ada\n']],
  ['nowhere, if none does', false, [401, expect.stringContaining('Unauthorized')]],
])('hello.mjs: the token goes %s', async (_, isNamed, expected) => {
  const service = `http://localhost:${stage.port}`
  const destinations = isNamed ? `TOKEN_RELAY_DESTINATIONS=${service}` : ''
  const variables = `TOKEN_RELAY_ISSUER=${stage.issuer.issuer} TOKEN_RELAY_AUDIENCE=user-service ${destinations}`
  const command = `${variables} node --import otel-token-relay/register hello.mjs`
  await using running = await stage.start(command, stage.local.folder)
  const response = await stage.get('/', await stage.issuer.token())
  expect([response.status, await response.text()]).toEqual(expected)
  expect(complaintsIn(running.output())).toEqual([])
  expect(running.output().includes(`withheld from "${service}": not_named`)).toBe(!isNamed)
})
