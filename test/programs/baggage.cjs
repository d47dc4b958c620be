/** A service that adds to the baggage of its caller, a token among it, and calls on. */

const http = require('node:http')
const { context, propagation } = require('@opentelemetry/api')
const { call, listen } = require('./routes.cjs')

const server = http.createServer(async (request, response) => {
  const { searchParams } = new URL(request.url, 'http://service')
  const baggage = propagation.getActiveBaggage() ?? propagation.createBaggage()
  const names = baggage.getAllEntries().map(([name]) => name)
  const mine = baggage
    .setEntry('mistake', { value: `Bearer ${searchParams.get('mistake')}` })
    .setEntry('mine', { value: '3' })
  await context.with(propagation.setBaggage(context.active(), mine), () => call(searchParams))
  response.end(JSON.stringify({ names }))
})
listen(server)
