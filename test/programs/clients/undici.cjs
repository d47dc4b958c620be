/** Every way of calling that undici has, in each of its versions from npm. */

const { Writable } = require('node:stream')

const VERSIONS = { 5: require('undici-5'), 6: require('undici-6'), 7: require('undici-7'), 8: require('undici') }
const LIMIT = 2
const REDIRECTS = 20
const RETRY = { maxRetries: 2, minTimeout: 1, maxTimeout: 5, statusCodes: [503], methods: ['GET'] }

const drain = async (response) => void (await (await response).body.text())

/** One dispatcher per origin, made when it is first asked for. */
function perOrigin(create) {
  const dispatchers = new Map()
  return (url) => {
    const { origin } = new URL(url)
    if (!dispatchers.has(origin)) dispatchers.set(origin, create(origin))
    return dispatchers.get(origin)
  }
}

/** A limited and an unlimited dispatcher of one client, made by `create(agent)`. */
function dispatchers({ Agent }, create = (agent) => agent) {
  const limited = create(new Agent({ connections: LIMIT }))
  const unlimited = create(new Agent())
  return (isLimited) => (isLimited ? limited : unlimited)
}

function requesting(undici, dispatcherOf, more = {}) {
  return (url, { headers, signal, limited }) =>
    drain(undici.request(url, { headers, signal, dispatcher: dispatcherOf(limited), ...more }))
}

function onDispatcher(dispatcherOf) {
  return (url, { headers, signal }) => {
    const { origin, pathname, search } = new URL(url)
    return drain(dispatcherOf(url).request({ origin, path: `${pathname}${search}`, method: 'GET', headers, signal }))
  }
}

function streaming(undici) {
  const dispatcherOf = dispatchers(undici)
  const discard = () => new Writable({ write: (_chunk, _encoding, done) => done() })
  return async (url, { headers, signal, limited }) => {
    await undici.stream(url, { method: 'GET', headers, signal, dispatcher: dispatcherOf(limited) }, discard)
  }
}

function pipelining(undici) {
  const dispatcherOf = dispatchers(undici)
  return (url, { headers, signal, limited }) =>
    new Promise((resolve, reject) => {
      const options = { method: 'GET', headers, signal, dispatcher: dispatcherOf(limited) }
      const duplex = undici.pipeline(url, options, ({ body }) => body)
      duplex.on('error', reject).on('end', resolve).resume().end()
    })
}

function fetching(undici) {
  const dispatcherOf = dispatchers(undici)
  return async (url, { headers, signal, limited }) => {
    const response = await undici.fetch(url, { headers, signal, dispatcher: dispatcherOf(limited) })
    await response.text()
  }
}

function redirecting(undici) {
  if (undici.interceptors?.redirect === undefined) return []
  const intercept = undici.interceptors.redirect({ maxRedirections: REDIRECTS })
  const call = requesting(
    undici,
    dispatchers(undici, (agent) => agent.compose(intercept)),
  )
  return [{ name: 'redirect interceptor', follows: true, limits: true, call }]
}

function withMaxRedirections(undici, version) {
  if (version > 6) return []
  const call = requesting(undici, dispatchers(undici), { maxRedirections: REDIRECTS })
  return [{ name: 'maxRedirections', follows: true, limits: true, call }]
}

function retrying(undici) {
  if (undici.RetryAgent === undefined) return []
  const intercepted = dispatchers(undici, (agent) => agent.compose(undici.interceptors.retry(RETRY)))
  const wrapped = dispatchers(undici, (agent) => new undici.RetryAgent(agent, RETRY))
  return [
    { name: 'retry interceptor', retries: true, limits: true, call: requesting(undici, intercepted) },
    { name: 'RetryAgent', retries: true, limits: true, call: requesting(undici, wrapped) },
  ]
}

function proxying(undici) {
  let agent
  const proxy = () => {
    agent ??= new undici.ProxyAgent({ uri: process.env.PROXY_URL, connections: LIMIT })
    return agent
  }
  const call = requesting(undici, proxy)
  return [
    { name: 'ProxyAgent', proxied: true, limits: true, call },
    { name: 'ProxyAgent, https', proxied: true, scheme: 'https', limits: true, call },
  ]
}

/** Over HTTP/2, where all callers share one session and have a stream each. */
function multiplexing(undici, version) {
  if (version < 6) return []
  const agent = new undici.Agent({ allowH2: true, connections: 1 })
  const call = requesting(undici, () => agent)
  return [{ name: 'request, HTTP/2', scheme: 'h2', limits: true, call }]
}

function clientsOf(undici, version) {
  const pool = perOrigin((origin) => new undici.Pool(origin, { connections: LIMIT }))
  const client = perOrigin((origin) => new undici.Client(origin))
  const agent = new undici.Agent({ connections: LIMIT })
  return [
    { name: 'request', limits: true, call: requesting(undici, dispatchers(undici)) },
    { name: 'stream', limits: true, call: streaming(undici) },
    { name: 'pipeline', limits: true, call: pipelining(undici) },
    { name: 'fetch', follows: true, limits: true, call: fetching(undici) },
    { name: 'Client', limits: true, call: onDispatcher(client) },
    { name: 'Pool', limits: true, call: onDispatcher(pool) },
    { name: 'Agent', limits: true, call: onDispatcher(() => agent) },
    ...redirecting(undici),
    ...withMaxRedirections(undici, version),
    ...retrying(undici),
    ...proxying(undici),
    ...multiplexing(undici, version),
  ]
}

module.exports = Object.entries(VERSIONS).flatMap(([version, undici]) =>
  clientsOf(undici, Number(version)).map((client) => ({ ...client, name: `undici ${version} ${client.name}` })),
)
