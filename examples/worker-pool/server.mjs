/** A pool of threads (Piscina): each task runs as the caller whose request submitted it. */

import { createServer } from 'node:http'
import process from 'node:process'
import { runInWorker } from 'otel-token-relay/worker-threads'
import { Piscina } from 'piscina'

const { PORT = '8080' } = process.env

const pool = new Piscina({ filename: new URL('thumbnails.mjs', import.meta.url).href, maxThreads: 2 })

const server = createServer(async (request, response) => {
  const done = await runInWorker('worker:thumbnails', pool, { name: request.url.slice(1) })
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(done))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`pool listens on http://127.0.0.1:${server.address().port}`)
})
