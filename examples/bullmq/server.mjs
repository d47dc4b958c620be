/** BullMQ, the service that takes orders: the caller goes along with each job, sealed. */

import { createServer } from 'node:http'
import process from 'node:process'
import { Queue } from 'bullmq'
import { addAsCaller } from 'otel-token-relay/bullmq'

const { PORT = '8080', REDIS_URL = 'redis://127.0.0.1:6379' } = process.env

const queue = new Queue('orders', { connection: { url: REDIS_URL } })

const server = createServer(async (_request, response) => {
  const job = await addAsCaller('orders', (caller) => queue.add('ship', { article: 'tea' }, caller))
  response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ job: job.id }))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`orders listens on http://127.0.0.1:${server.address().port}`)
})
