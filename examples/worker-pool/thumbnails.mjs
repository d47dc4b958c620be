/** What the threads do: work as the caller, who goes along with fetch here, too. */

import process from 'node:process'
import { threadId } from 'node:worker_threads'
import { getActiveCredential } from 'otel-token-relay'
import { asCaller } from 'otel-token-relay/worker-threads'

const { PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

export default asCaller('worker:thumbnails', async ({ name }) => {
  const response = await fetch(PROFILE_URL)
  const profile = await response.json()
  return { thumbnail: name, caller: getActiveCredential().subject, inThread: threadId > 0, profile }
})
