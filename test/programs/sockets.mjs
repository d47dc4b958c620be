/** A server of `ws`, on its own port, that calls a service for each message. It knows nothing of tokens. */

import { WebSocketServer } from 'ws'

const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })

wss.on('connection', (ws) => {
  ws.on('error', () => undefined)
  ws.on('message', async (data) => {
    const response = await fetch(String(data))
    ws.send(String(response.status))
  })
})
wss.on('listening', () => process.stdout.write(`${JSON.stringify({ port: wss.address().port })}\n`))
