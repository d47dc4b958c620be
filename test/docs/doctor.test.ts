/** Every command of the tool on any page runs, with servers of this test in place of the example hosts. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Application } from '../cli/command.ts'
import { createApplication, runCommand } from '../cli/command.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { commandsOfKind, isText } from './blocks.ts'
import { readBlocks, readDocument } from './markdown.ts'

let issuer: TestIssuer
let application: Application
beforeAll(async () => {
  issuer = await startIssuer()
  application = createApplication()
  const options = {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: 'https://profile.internal.example' }],
  }
  application.write('relay.json', JSON.stringify(options))
  application.write('app.js', "require('node:http').createServer((_, response) => response.end()).listen(0)")
})
afterAll(async () => {
  application[Symbol.dispose]()
  await issuer[Symbol.asyncDispose]()
})

const blocks = readBlocks(readDocument('docs/reference/command-line.md'))
const commands = [...new Set(commandsOfKind('tool').map(([, command]) => command))]

it('has commands, and their output', () => {
  expect(commands.length).toBeGreaterThan(4)
  expect(blocks.filter(isText).length).toBeGreaterThan(0)
})

it.each(commands)('%s', async (command) => {
  const [words = '', input] = command.replaceAll('https://id.example.com', issuer.issuer).split(' < ')
  const args = words.replace(/^npx otel-token-relay /, '').split(' ')
  const end = args.indexOf('--')
  const { status, stderr } = await runCommand(end === -1 ? args : args.slice(0, end), {
    folder: application.folder,
    ...(end === -1 ? {} : { program: args.slice(end + 1) }),
    ...(input === undefined ? {} : { input: await issuer.token() }),
    env: {
      TOKEN_RELAY_CONFIG_FILE: 'relay.json',
      NODE_OPTIONS: '--import=otel-token-relay/register',
      TOKEN_RELAY_LOG: 'off',
    },
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

it('prints what the page shows', async () => {
  const token = await issuer.token({ aud: 'another' })
  const env = { TOKEN_RELAY_CONFIG_FILE: 'relay.json' }
  const { stdout } = await runCommand(['doctor', 'token'], { folder: application.folder, env, input: token })
  const [shown] = blocks.filter(({ language }) => language === 'text')
  for (const line of shown?.text.trim().split('\n') ?? []) {
    expect(stdout).toContain(line.replace('https://id.example.com', issuer.issuer))
  }
})
