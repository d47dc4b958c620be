/** Answers who the caller is, after a call to `SINK`; creates a relay if `RELAY_OPTIONS` has options for one. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createTokenRelay, getActiveCredential, type TokenRelayOptions } from 'otel-token-relay'

const options = process.env['RELAY_OPTIONS']
if (options !== undefined) createTokenRelay(JSON.parse(options) as TokenRelayOptions)

const server = createServer(async (_, response) => {
  await (await fetch(process.env['SINK'] as string)).text()
  response.end(getActiveCredential()?.subject)
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ port })}\n`)
})
