/** A server of the Model Context Protocol over standard input and output, whose tool asks its client something back. */

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import * as z from 'zod'

const server = new McpServer({ name: 'notes', version: '1.0.0' })
server.registerTool('summarize', { inputSchema: { user: z.string() } }, async ({ user }) => {
  const { content } = await server.server.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: user } }],
    maxTokens: 1,
  })
  return { content: [content] }
})
await server.connect(new StdioServerTransport())
