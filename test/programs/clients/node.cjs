/** What Node itself has: `fetch`, `http`, `https`. */

const http = require('node:http')
const http2 = require('node:http2')
const https = require('node:https')
const { Agent } = require('undici-7')

const LIMIT = 2

/** Reads `response` to its end; rejects where it is cut off. */
function drain(response) {
  return new Promise((resolve, reject) => response.resume().on('error', reject).on('end', resolve))
}

function viaModule(module) {
  const agents = { false: new module.Agent(), true: new module.Agent({ keepAlive: true, maxSockets: LIMIT }) }
  return (url, { headers, signal, limited = false }) =>
    new Promise((resolve, reject) => {
      const request = module.request(url, { headers, signal, agent: agents[limited] })
      request.on('response', (response) => drain(response).then(resolve, reject))
      request.on('error', reject)
      request.end()
    })
}

/** undici 7 is the one that Node 24 has built in, and the built-in `fetch` takes its dispatchers. */
const dispatcher = new Agent({ connections: LIMIT })
const viaFetch = async (url, { headers, signal, limited }) => {
  const response = await fetch(url, { headers, signal, ...(limited ? { dispatcher } : {}) })
  await response.text()
}

const sessions = new Map()
/** One session per origin, which all callers share. */
const viaHttp2 = (url, { headers, signal }) =>
  new Promise((resolve, reject) => {
    const { origin, pathname } = new URL(url)
    if (!sessions.has(origin)) sessions.set(origin, http2.connect(origin))
    const stream = sessions.get(origin).request({ ...headers, ':path': pathname }, { signal })
    drain(stream).then(resolve, reject)
    stream.end()
  })

module.exports = [
  { name: 'fetch', follows: true, limits: true, call: viaFetch },
  { name: 'fetch, https', scheme: 'https', follows: true, limits: true, call: viaFetch },
  { name: 'http', limits: true, call: viaModule(http) },
  { name: 'http2', scheme: 'h2', limits: true, call: viaHttp2 },
  { name: 'https', scheme: 'https', limits: true, call: viaModule(https) },
]
module.exports.drain = drain
