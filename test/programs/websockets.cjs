/** WebSocket servers as their documentation shows them, without any auth code: ws, socket.io, engine.io beside express. */

const http = require('node:http')
const express = require('express')
const { WebSocketServer } = require('ws')
const { Server } = require('socket.io')
const { listen, whoami } = require('./routes.cjs')

async function main() {
  const plain = http.createServer()
  const wss = new WebSocketServer({ server: plain })
  wss.on('connection', (socket) => {
    socket.on('error', console.error)
    socket.on('message', (data) => socket.send(`${whoami().subject} ${data}`))
    socket.send(`welcome ${whoami().subject}`)
  })
  await listen(plain, 'ws')

  // The upgrade handled by hand, for several paths of one server.
  const multiple = http.createServer()
  const noServer = new WebSocketServer({ noServer: true })
  noServer.on('connection', (socket) => socket.send(`welcome ${whoami().subject}`))
  multiple.on('upgrade', (request, socket, head) => {
    if (request.url !== '/foo') return socket.destroy()
    noServer.handleUpgrade(request, socket, head, (client) => noServer.emit('connection', client, request))
  })
  await listen(multiple, 'noServer')

  const app = express()
  app.get('/hello', (_request, response) => response.send(`hello ${whoami().subject}`))
  const httpServer = http.createServer(app)
  const io = new Server(httpServer)
  io.on('connection', (socket) => {
    socket.on('who', (answer) => answer(whoami().subject))
    socket.emit('welcome', whoami().subject)
  })
  await listen(httpServer, 'io')
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
}

main()
