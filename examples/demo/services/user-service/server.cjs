/** user-service: Express, CommonJS, built-in fetch. It asks profile-service and a third party, and checks no token. */

const process = require('node:process')
const { SendMessageCommand, SQSClient } = require('@aws-sdk/client-sqs')
const { context } = require('@opentelemetry/api')
const { getRPCMetadata } = require('@opentelemetry/core')
const express = require('express')
const { getActiveCredential } = require('otel-token-relay')
const { produce } = require('otel-token-relay/messaging')

const { HOST = '127.0.0.1', PORT = '0', PROFILE_SERVICE_URL, QUEUE_URL, WEATHER_URL } = process.env

const app = express()
const sqs = new SQSClient()

// Names each span after its route, as OpenTelemetry's instrumentation of Express does where it is installed.
app.use((request, response, next) => {
  const rpc = getRPCMetadata(context.active())
  response.once('finish', () => {
    if (rpc && request.route) rpc.route = request.route.path
  })
  next()
})

// For probes, which have no token: a public path.
app.get('/health', (_request, response) => response.send('ok'))

app.get('/users/:id', async (request, response) => {
  const profile = await getJson(`${PROFILE_SERVICE_URL}/profiles/${request.params.id}`)
  response.json({ caller: caller(), profile })
})

// profile-service asks billing-service, which takes other tokens than ours.
app.get('/users/:id/invoices', async (request, response) => {
  const profile = await getJson(`${PROFILE_SERVICE_URL}/profiles/${request.params.id}/invoices`)
  response.json({ caller: caller(), profile })
})

// profile-service answers with a redirect to the host that keeps the picture; fetch follows it.
app.get('/users/:id/picture', async (request, response) => {
  const { picture } = await getJson(`${PROFILE_SERVICE_URL}/profiles/${request.params.id}/picture`)
  response.json({ caller: caller(), picture })
})

app.get('/users/:id/weather', async (_request, response) => {
  const { weather } = await getJson(`${WEATHER_URL}/weather`)
  response.json({ caller: caller(), weather })
})

// The order is worked on later, in another process, and as the caller who ordered.
app.post('/users/:id/orders', async (request, response) => {
  const { MessageId } = await produce('aws_sqs:orders', (headers) => {
    const attributes = Object.entries(headers).map(([name, value]) => [
      name,
      { DataType: 'String', StringValue: value },
    ])
    const order = { QueueUrl: QUEUE_URL, MessageBody: JSON.stringify({ user: request.params.id }) }
    return sqs.send(new SendMessageCommand({ ...order, MessageAttributes: Object.fromEntries(attributes) }))
  })
  response.status(202).json({ caller: caller(), order: MessageId })
})

app.use((error, _request, response, _next) => {
  response.status(502).json({ caller: caller(), problem: error.message })
})

/** Only to say who called: the request would not be here without a valid token. */
function caller() {
  return getActiveCredential()?.subject
}

async function getJson(url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}`)
  return response.json()
}

const server = app.listen(Number(PORT), HOST, () => {
  console.log(`user-service listens on http://${HOST}:${server.address().port}`)
})
