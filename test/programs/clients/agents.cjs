/** Agents from npm, and clients that bring their own: each connects by itself, to its destination or through a proxy. */

const http = require('node:http')
const https = require('node:https')
const net = require('node:net')
const process = require('node:process')
const tls = require('node:tls')
const { Agent: BaseAgent } = require('agent-base')
const KeepAliveAgent = require('agentkeepalive')
const axios = require('axios')
const { default: CacheableLookup } = require('cacheable-lookup')
const hpagent = require('hpagent')
const { HttpProxyAgent } = require('http-proxy-agent')
const { HttpsProxyAgent } = require('https-proxy-agent')
const makeFetchHappen = require('make-fetch-happen')
const { Agent: NpmAgent } = require('@npmcli/agent')
const { ProxyAgent } = require('proxy-agent')
const { drain } = require('./node.cjs')

const LIMIT = { keepAlive: true, maxSockets: 2 }
const REDIRECTS = 20
const modules = { http, https }

/** Calls through agents that `create` makes: one for all callers if they are limited, and one for each call if not. */
function viaAgent(scheme, create) {
  const shared = create(LIMIT)
  return async (url, { headers, signal, limited }) => {
    const agent = limited ? shared : create({})
    const response = await new Promise((resolve, reject) => {
      modules[scheme].request(url, { headers, signal, agent }).on('response', resolve).on('error', reject).end()
    })
    await drain(response).finally(() => limited || agent.destroy())
  }
}

class DirectAgent extends BaseAgent {
  connect(_request, options) {
    return options.secureEndpoint ? tls.connect(options) : net.connect(options)
  }
}

/** The agent connects itself, and asks the cache for addresses. */
function lookingUp(agent) {
  new CacheableLookup().install(agent)
  return agent
}

const axiosAgents = { httpAgent: new KeepAliveAgent(LIMIT), httpsAgent: new KeepAliveAgent.HttpsAgent(LIMIT) }
const viaAxios = async (url, { headers, signal }) => {
  await axios.get(url, { headers, signal, maxRedirects: REDIRECTS, validateStatus: () => true, ...axiosAgents })
}

const viaMakeFetchHappen = async (url, { headers, signal }) => {
  const retry = { retries: 2, minTimeout: 1, maxTimeout: 1 }
  const response = await makeFetchHappen(url, { headers, signal, follow: REDIRECTS, maxSockets: 2, retry })
  await response.text()
}

const proxy = process.env.PROXY_URL
const direct = { getProxyForUrl: () => '' }
const proxied = { getProxyForUrl: () => proxy }

const AGENTS = [
  ['agentkeepalive', { http: (options) => new KeepAliveAgent(options) }],
  ['agentkeepalive', { https: (options) => new KeepAliveAgent.HttpsAgent(options) }],
  ['agent-base', both((options) => new DirectAgent(options))],
  ['@npmcli/agent', both((options) => new NpmAgent(options))],
  ['cacheable-lookup', { http: (options) => lookingUp(new http.Agent(options)) }],
  ['cacheable-lookup', { https: (options) => lookingUp(new https.Agent(options)) }],
  ['proxy-agent, no proxy', both((options) => new ProxyAgent({ ...options, ...direct }))],
]
const PROXY_AGENTS = [
  // In clear text, on a connection that it uses again, this agent sends the proxy a target in origin-form.
  ['proxy-agent', { https: (options) => new ProxyAgent({ ...options, ...proxied }) }],
  ['http-proxy-agent', { http: (options) => new HttpProxyAgent(proxy, options) }],
  ['https-proxy-agent', both((options) => new HttpsProxyAgent(proxy, options))],
  ['hpagent', { http: (options) => new hpagent.HttpProxyAgent({ ...options, proxy }) }],
  ['hpagent', { https: (options) => new hpagent.HttpsProxyAgent({ ...options, proxy }) }],
]

function both(create) {
  return { http: create, https: create }
}

function clientsOf([name, creators], traits) {
  return Object.entries(creators).map(([scheme, create]) => ({
    name: scheme === 'https' ? `${name}, https` : name,
    scheme,
    limits: true,
    ...traits,
    call: viaAgent(scheme, create),
  }))
}

const own = [
  { name: 'axios, agentkeepalive', scheme: 'http', follows: true, limits: true, call: viaAxios },
  { name: 'axios, agentkeepalive, https', scheme: 'https', follows: true, limits: true, call: viaAxios },
  { name: 'make-fetch-happen', scheme: 'http', follows: true, retries: true, limits: true, call: viaMakeFetchHappen },
  {
    name: 'make-fetch-happen, https',
    scheme: 'https',
    follows: true,
    retries: true,
    limits: true,
    call: viaMakeFetchHappen,
  },
]

module.exports = [
  ...AGENTS.flatMap((agent) => clientsOf(agent, {})),
  ...own,
  // Where there is no proxy (the identity rig has none), there is nothing to connect to.
  ...(proxy === undefined ? [] : PROXY_AGENTS.flatMap((agent) => clientsOf(agent, { proxied: true }))),
]
