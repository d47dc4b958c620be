/** A service that calls on through pools, agents, redirects and retries that all of its callers share. */

const http = require('node:http')
const { createServiceClient, get } = require('otel-token-relay/client')
const { listen } = require('./routes.cjs')

const LIMIT = 2
const undici = { 5: require('undici-5'), 6: require('undici-6'), 7: require('undici-7'), 8: require('undici') }

const keepAlive = new http.Agent({ keepAlive: true, maxSockets: LIMIT })
const viaAgent = (url) =>
  new Promise((resolve, reject) => {
    http
      .request(url, { agent: keepAlive }, (response) => response.resume().on('end', resolve))
      .on('error', reject)
      .end()
  })

const ways = { fetch: (url) => fetch(url).then((response) => response.text()), http: viaAgent }
for (const [version, { Agent, Pool, RetryAgent, interceptors, request, fetch: npmFetch }] of Object.entries(undici)) {
  const pools = new Map()
  const poolOf = (url) => {
    const { origin } = new URL(url)
    if (!pools.has(origin)) pools.set(origin, new Pool(origin, { connections: LIMIT }))
    return pools.get(origin)
  }
  const agent = new Agent({ connections: LIMIT })
  const drain = async (response) => (await response).body.text()
  ways[`pool ${version}`] = (url) =>
    drain(poolOf(url).request({ path: new URL(url).pathname + new URL(url).search, method: 'GET' }))
  ways[`agent ${version}`] = (url) => drain(request(url, { dispatcher: agent }))
  ways[`fetch ${version}`] = (url) => npmFetch(url, { dispatcher: agent }).then((response) => response.text())
  const options = { minTimeout: 1, maxTimeout: 5, statusCodes: [503], methods: ['GET'] }
  if (interceptors?.redirect !== undefined) {
    const redirecting = agent.compose(interceptors.redirect({ maxRedirections: 3 }))
    ways[`redirect ${version}`] = (url) => drain(request(url, { dispatcher: redirecting }))
  } else {
    ways[`redirect ${version}`] = (url) => drain(request(url, { dispatcher: agent, maxRedirections: 3 }))
  }
  if (interceptors?.retry !== undefined) {
    const retrying = agent.compose(interceptors.retry(options))
    ways[`retry ${version}`] = (url) => drain(request(url, { dispatcher: retrying }))
  }
  if (RetryAgent !== undefined) {
    const retryAgent = new RetryAgent(agent, options)
    const retryPools = new Map()
    const retryPoolOf = (url) => {
      const { origin } = new URL(url)
      if (!retryPools.has(origin)) retryPools.set(origin, new RetryAgent(poolOf(url), options))
      return retryPools.get(origin)
    }
    ways[`RetryAgent over a pool ${version}`] = (url) =>
      drain(retryPoolOf(url).request({ path: new URL(url).pathname + new URL(url).search, method: 'GET' }))
    ways[`RetryAgent ${version}`] = (url) => drain(request(url, { dispatcher: retryAgent }))
  }
}
const clients = new Map()
ways['service client, retry'] = (url) => {
  const { origin, pathname, searchParams } = new URL(url)
  if (!clients.has(origin)) {
    const retry = { maxAttempts: 3, baseDelayMillis: 1, budgetRatio: 1 }
    const endpoints = { call: get(pathname) }
    const bulkhead = { maxConcurrent: LIMIT, maxQueued: 100 }
    clients.set(origin, createServiceClient({ baseUrl: origin, endpoints, retry, bulkhead, circuitBreaker: false }))
  }
  return clients.get(origin).call({ query: Object.fromEntries(searchParams) })
}
ways['fetch, built in, limited'] = (url) => fetch(url, { dispatcher: limited }).then((response) => response.text())
const limited = new undici[7].Agent({ connections: LIMIT })

const server = http.createServer(async (incoming, response) => {
  const { searchParams } = new URL(incoming.url, 'http://service')
  try {
    await ways[searchParams.get('way')](searchParams.get('url'))
    response.end()
  } catch (error) {
    response.writeHead(502).end(error.message)
  }
})
process.stdout.write(`${JSON.stringify({ ways: Object.keys(ways) })}\n`)
listen(server)
