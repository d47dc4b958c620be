/** The official client of the Model Context Protocol over stdio: one child process that the first caller starts, for all. */

import { join } from 'node:path'
import process from 'node:process'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'

const SERVER = join(import.meta.dirname, '..', 'support', 'mcp-server.mjs')

let callers: Callers
let client: Promise<Client> | undefined
beforeAll(async () => {
  callers = await startCallers()
})
afterAll(async () => {
  await (await client)?.close()
  await callers[Symbol.asyncDispose]()
})

/** As applications do: connected in the request that needs it first. What the server asks back, the handler answers. */
async function connect(): Promise<Client> {
  const connected = new Client({ name: 'test', version: '1.0.0' }, { capabilities: { sampling: {} } })
  connected.setRequestHandler(CreateMessageRequestSchema, async ({ params: { messages } }) => {
    const [message] = messages
    const content = Array.isArray(message?.content) ? message.content[0] : message?.content
    if (content?.type === 'text') await callers.call(content.text)
    return { model: 'none', role: 'assistant' as const, content: { type: 'text' as const, text: 'done' } }
  })
  await connected.connect(new StdioClientTransport({ command: process.execPath, args: [SERVER] }))
  return connected
}

async function summarize(user: string): Promise<void> {
  client ??= connect()
  await (await client).callTool({ name: 'summarize', arguments: { user } })
  await callers.call(`${user}-afterwards`)
}

it('bob’s tool call never carries alice’s token, while the request that started the server is open [G12]', async () => {
  await callers.as('alice', async () => {
    await summarize('alice')
    await callers.as('bob', () => summarize('bob'))
    await Promise.all(['carol', 'dave', 'erin'].map((user) => callers.as(user, () => summarize(user))))
  })
  const users = ['alice', 'bob', 'carol', 'dave', 'erin']
  const expected = users.flatMap((user) => [`${user} as nobody`, `${user}-afterwards as ${user}`])
  expect(callers.arrivals().toSorted()).toEqual(expected.toSorted())
})
