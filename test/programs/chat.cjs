/** A chat server of socket.io on Express, as one begins with it. It knows nothing of tokens. */

const { createServer } = require('node:http')
const express = require('express')
const { Server } = require('socket.io')

const app = express()
const server = createServer(app)
const io = new Server(server)

app.get('/', (_request, response) => response.send('<h1>Chat</h1>'))

io.on('connection', (socket) => {
  socket.on('chat message', async (message, url, acknowledge) => {
    io.emit('chat message', message)
    const response = await fetch(`${url}?message=${message}`)
    acknowledge(response.status)
  })
})

server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
