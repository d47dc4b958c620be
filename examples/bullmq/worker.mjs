/** BullMQ, the worker: works on each job as the caller who ordered. */

import process from 'node:process'
import { Worker } from 'bullmq'
import { getActiveCredential } from 'otel-token-relay'
import { asCaller } from 'otel-token-relay/bullmq'

const { PROFILE_URL = 'http://127.0.0.1:8081', REDIS_URL = 'redis://127.0.0.1:6379' } = process.env

async function ship(job) {
  const response = await fetch(PROFILE_URL)
  const profile = await response.json()
  console.log(`ships ${job.data.article} for ${getActiveCredential().subject}; profile saw ${profile.caller}`)
}

const connection = { url: REDIS_URL, maxRetriesPerRequest: null }
const worker = new Worker('orders', asCaller(ship), { connection })
worker.on('failed', (_job, error) => console.log(`rejected: ${error.message}`))

await worker.waitUntilReady()
console.log(`worker listens on ${REDIS_URL}`)
