/** What is done in threads: says whose work it is, and who is seen by the service that it calls. */

require('./relay.cjs')
const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const { trace } = require('@opentelemetry/api')
const { getActiveCredential } = require('otel-token-relay')
const { answerAsCaller, asCaller, takeOver } = require('otel-token-relay/worker-threads')

const RECEIVER = 'worker:thumbnails'
const subject = () => getActiveCredential()?.subject ?? 'nobody'

async function work({ fail, throws, result, pause = 0 }) {
  if (fail) throw Object.assign(new RangeError('mine'), { cause: 'cause' })
  if (throws) throw throws
  if (result !== undefined) return result
  await new Promise((resolve) => setTimeout(resolve, Math.random() * pause))
  const response = await fetch(process.env.SINK)
  return { subject: subject(), sent: await response.json(), traceId: trace.getActiveSpan()?.spanContext().traceId }
}

module.exports = asCaller(RECEIVER, work)
module.exports.echo = (message) => message
module.exports.other = asCaller('worker:mails', work)

if (!isMainThread && workerData?.mode === 'answer') answerAsCaller(RECEIVER, work)
if (!isMainThread && workerData?.mode === 'data') {
  const take = () => takeOver(RECEIVER, workerData.caller, subject).catch(({ code }) => code)
  void (async () => parentPort.postMessage([await take(), await take(), subject()]))()
}
