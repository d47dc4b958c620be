/**
 * Calls that say one place and reach another: `url` is where they say they go, `process.env.ELSEWHERE` is an origin that
 * no rule names, and where they arrive.
 */

const http = require('node:http')
const net = require('node:net')
const { Duplex } = require('node:stream')
const undici = require('undici')
const { drain } = require('./node.cjs')

const elsewhere = () => new URL(process.env.ELSEWHERE)

function viaHttp(optionsOf) {
  return (url, { headers, signal }) =>
    new Promise((resolve, reject) => {
      const said = new URL(url)
      const { pathname: path, hostname: host, port } = said
      const request = http.request({ host, port, path, headers, signal, ...optionsOf(said, headers) })
      request.on('response', (response) => drain(response).then(resolve, reject)).on('error', reject)
      request.end()
    })
}

const finish = async (response) => void (await (await response).body.text())
const there = () => ({ host: elsewhere().hostname, port: elsewhere().port })

const agentWith = (createConnection) => Object.assign(new http.Agent(), { createConnection })
const streamTo = (socket) => Duplex.from({ readable: socket, writable: socket }).on('error', () => undefined)

const calls = {
  'hostname over host': viaHttp(() => ({ hostname: elsewhere().hostname, port: elsewhere().port })),
  'Host field': viaHttp((said, headers) => ({ ...there(), headers: { ...headers, host: said.host } })),
  'absolute form': viaHttp((said) => ({ ...there(), path: said.href })),
  'options of the agent': viaHttp(() => ({ agent: new http.Agent(there()) })),
  createConnection: viaHttp(() => ({ createConnection: () => net.connect(there()) })),
  'an agent that connects elsewhere': viaHttp(() => ({ agent: agentWith(() => net.connect(there())) })),
  'an agent that changes the host': viaHttp(() => ({
    agent: agentWith((options) => net.connect({ ...options, ...there() })),
  })),
  'an agent with a stream': viaHttp(() => ({ agent: agentWith(() => streamTo(net.connect(there()))) })),
  'an agent with a socket of the system': viaHttp(() => ({
    agent: agentWith(() => net.connect(process.env.ELSEWHERE_SOCKET)),
  })),
  'socket of the system': viaHttp(() => ({ socketPath: process.env.ELSEWHERE_SOCKET })),
  'origin in the options': (url, { headers }) => {
    const { origin, pathname: path } = new URL(url)
    const client = new undici.Client(elsewhere().origin)
    return finish(client.request({ origin, path, method: 'GET', headers })).finally(() => client.destroy())
  },
  'Host field, undici': (url, { headers, signal }) => {
    const { host, pathname } = new URL(url)
    return finish(undici.request(new URL(pathname, elsewhere()), { headers: { ...headers, host }, signal }))
  },
  'Host field, fetch': async (url, { headers, signal }) => {
    const { host, pathname } = new URL(url)
    const response = await fetch(new URL(pathname, elsewhere()), { headers: { ...headers, host }, signal })
    await response.text()
  },
}

module.exports = Object.entries(calls).map(([name, call]) => ({ name: `astray: ${name}`, astray: true, call }))
