/** Clients from npm that are built on `http`, `https` or `fetch`. */

const http = require('node:http')
const https = require('node:https')
const axios = require('axios')
const followRedirects = require('follow-redirects')
const { default: got } = require('got')
const { default: ky } = require('ky')
const { default: nodeFetch } = require('node-fetch')
const { Agent } = require('undici-7')
const { drain } = require('./node.cjs')

const LIMIT = 2
const REDIRECTS = 20

/** The agents of one client; none where it may open as many connections as it likes. */
function agentsOfOneClient() {
  const limits = { keepAlive: true, maxSockets: LIMIT }
  const limited = { http: new http.Agent(limits), https: new https.Agent(limits) }
  return (isLimited) => (isLimited ? limited : {})
}

const axiosAgents = agentsOfOneClient()
const viaAxios =
  (adapter) =>
  async (url, { headers, signal, limited }) => {
    const agents = axiosAgents(limited)
    await axios.get(url, {
      adapter,
      headers,
      signal,
      maxRedirects: REDIRECTS,
      validateStatus: () => true,
      ...(limited ? { httpAgent: agents.http, httpsAgent: agents.https } : {}),
    })
  }

const gotAgents = agentsOfOneClient()
const viaGot = async (url, { headers, signal, limited }) => {
  await got(url, {
    headers,
    signal,
    agent: gotAgents(limited),
    maxRedirects: REDIRECTS,
    throwHttpErrors: false,
    retry: { limit: 2, calculateDelay: ({ computedValue }) => (computedValue === 0 ? 0 : 1) },
  })
}

const nodeFetchAgents = agentsOfOneClient()
const viaNodeFetch = async (url, { headers, signal, limited }) => {
  const agent = limited ? ({ protocol }) => nodeFetchAgents(true)[protocol.slice(0, -1)] : undefined
  const response = await nodeFetch(url, { headers, signal, agent, follow: REDIRECTS })
  await response.text()
}

const dispatcher = new Agent({ connections: LIMIT })
const viaKy = async (url, { headers, signal, limited }) => {
  const response = await ky(url, {
    headers,
    signal,
    retry: { limit: 2, delay: () => 1 },
    // Ten seconds by default, which a busy machine needs at times.
    timeout: false,
    ...(limited ? { fetch: (input, init) => fetch(input, { ...init, dispatcher }) } : {}),
  })
  await response.text()
}

const followAgents = agentsOfOneClient()
const viaFollowRedirects =
  (scheme) =>
  (url, { headers, signal, limited }) =>
    new Promise((resolve, reject) => {
      const options = { headers, agents: followAgents(limited), maxRedirects: REDIRECTS }
      const request = followRedirects[scheme].request(url, options)
      request.on('response', (response) => drain(response).then(resolve, reject))
      request.on('error', reject)
      signal?.addEventListener('abort', () => request.destroy(new Error('aborted')))
      request.end()
    })

module.exports = [
  { name: 'axios', follows: true, limits: true, call: viaAxios('http') },
  { name: 'axios, fetch adapter', follows: true, call: viaAxios('fetch') },
  { name: 'got', follows: true, retries: true, limits: true, call: viaGot },
  { name: 'node-fetch', follows: true, limits: true, call: viaNodeFetch },
  { name: 'ky', follows: true, retries: true, limits: true, call: viaKy },
  { name: 'follow-redirects', follows: true, limits: true, call: viaFollowRedirects('http') },
  { name: 'follow-redirects, https', scheme: 'https', follows: true, limits: true, call: viaFollowRedirects('https') },
]
