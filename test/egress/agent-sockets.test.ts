/** Agents that connect by themselves: the token goes by the socket that they hand out, however it came about. */

import { createSocket } from 'node:dgram'
import { getServers, lookup, setServers } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import http, { Agent, createServer } from 'node:http'
import https from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'
import tls from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import type { Certificates } from '../support/certificates.ts'
import { createCertificates } from '../support/certificates.ts'
import type { Verdicts } from '../support/decisions.ts'
import { verdictsOf } from '../support/decisions.ts'
import { close, listen } from '../support/issuer.ts'

const socketPath = join(tmpdir(), `otel-token-relay-agents-${process.pid}.sock`)

let callers: Callers
let certificates: Certificates
/** Who has arrived at each server: the subject of the token, or nothing. */
let arrived: string[] = []
const servers: http.Server[] = []
const tunnels = new Set<Socket>()
let [named, secure, impostor, proxy] = [0, 0, 0, 0]

function serve(name: string, server: http.Server): http.Server {
  servers.push(server)
  server.on('connect', openTunnel)
  return server.on('request', (incoming, response) => {
    arrived.push(`${name}: ${subjectOf(incoming.headers.authorization)}`)
    incoming.resume().on('end', () => response.end())
  })
}

function subjectOf(authorization: string | undefined): string {
  const payload = authorization?.split('.')[1]
  if (payload === undefined) return 'nothing'
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly sub: string }).sub
}

/** Any server is a proxy, too: what it connects to is the address that the request names. */
function openTunnel({ url }: IncomingMessage, client: Duplex): void {
  const [host, port] = String(url).split(':')
  const upstream = net.connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
  upstream.pipe(client).pipe(upstream)
  for (const socket of [client, upstream]) {
    tunnels.add(socket as Socket)
    socket.on('error', () => undefined)
  }
}

beforeAll(async () => {
  certificates = await createCertificates()
  named = await listen(serve('named', createServer()), '127.0.0.1')
  // The same port on another address, so that a name may mean either of them.
  await listen(serve('twin', createServer()), '127.0.0.2', named)
  secure = await listen(serve('secure', https.createServer(certificates)))
  // Its certificate is valid, for another name.
  const other = await certificates.client('elsewhere')
  impostor = await listen(serve('impostor', https.createServer(other)))
  proxy = await listen(serve('proxy', createServer()))
  const unix = serve('unix', createServer())
  await new Promise<void>((resolve) => unix.listen(socketPath, resolve))
  callers = await startCallers({
    destinations: [
      { to: `http://localhost:${named}` },
      { to: `http://127.0.0.1:${named}` },
      { to: `http://127.0.0.1:${secure}` },
      { to: `https://localhost:${secure}` },
      { to: `https://localhost:${impostor}` },
    ],
  })
})
afterAll(async () => {
  await callers[Symbol.asyncDispose]()
  for (const socket of tunnels) socket.destroy()
  await Promise.all(servers.map(close))
})
beforeEach(() => {
  arrived = []
})

async function finish(outgoing: ClientRequest): Promise<void> {
  const [response] = (await once(outgoing.end(), 'response')) as [NodeJS.ReadableStream]
  await once(response.resume(), 'end')
}

const send = (options: RequestOptions): Promise<Verdicts> =>
  callers.as('alice', () => verdictsOf(() => finish((options.protocol === 'https:' ? https : http).request(options))))

type Connect = (options: net.NetConnectOpts) => Duplex

/** An agent whose connections `connect` opens. */
function agentWith(connect: Connect, agent: Agent = new Agent({ keepAlive: true })): Agent {
  return Object.assign(agent, { createConnection: connect })
}

const here = (agent: Agent): RequestOptions => ({ host: '127.0.0.1', port: named, agent })

describe('in clear text', () => {
  it('an agent that connects to the destination carries the token, on a connection that it keeps, too', async () => {
    const agent = agentWith((options) => net.connect(options))
    expect([await send(here(agent)), await send(here(agent))]).toEqual([['forwarded'], ['forwarded']])
    expect(arrived).toEqual(['named: alice', 'named: alice'])
    agent.destroy()
  })

  const elsewhere: readonly [string, Connect][] = [
    ['opens another connection', () => net.connect(named, '127.0.0.2')],
    ['changes the host', (options) => net.connect({ ...options, host: '127.0.0.2' } as net.NetConnectOpts)],
    ['hands out a connection that is open', () => twinSocket],
  ]
  let twinSocket: Socket
  it.each(elsewhere)('an agent that %s carries none [F6]', async (_, connect) => {
    twinSocket = net.connect(named, '127.0.0.2')
    await once(twinSocket, 'connect')
    const agent = agentWith(connect)
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['twin: nothing'])
    agent.destroy()
    twinSocket.destroy()
  })

  it('a stream that is no socket may lead anywhere [F6]', async () => {
    const connect: Connect = (options) => {
      const socket = net.connect(options)
      return Duplex.from({ readable: socket, writable: socket }).on('error', () => undefined)
    }
    expect(await send(here(agentWith(connect, new Agent())))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['named: nothing'])
  })

  it('a Unix socket is no host [F6]', async () => {
    const agent = agentWith(() => net.connect(socketPath))
    expect(await send(here(agent))).toEqual(['unix_socket'])
    expect(arrived).toEqual(['unix: nothing'])
    agent.destroy()
  })

  it('a TLS connection is none in clear text, though it leads to the same host and port [F3]', async () => {
    const agent = agentWith(() => tls.connect({ host: '127.0.0.1', port: secure, ca: certificates.ca }))
    expect(await send({ ...here(agent), port: secure })).toEqual(['custom_connection'])
    expect(arrived).toEqual(['secure: nothing'])
    agent.destroy()
  })

  it('a named host that was asked to connect to another one is not that host any more [F6, F7]', async () => {
    const tunnel = net.connect(named, '127.0.0.1')
    tunnel.write(`CONNECT 127.0.0.2:${named} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    await once(tunnel, 'data')
    const agent = agentWith(() => tunnel)
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['twin: nothing'])
    agent.destroy()
  })

  it('so it is if the agent itself has sent that request [F6, F7]', async () => {
    let opened: Socket | undefined
    const agent = agentWith((options) => {
      opened ??= net.connect(options)
      return opened
    })
    const asking = http.request({ ...here(agent), method: 'CONNECT', path: `127.0.0.2:${named}` }).end()
    await once(asking, 'connect')
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['twin: nothing'])
    agent.destroy()
  })

  it('nor after a first request, which carried the token: the agent says something between [F6, F7]', async () => {
    let opened: Socket | undefined
    const agent = agentWith((options) => {
      opened ??= net.connect(options)
      return opened
    })
    // The agent keeps the connection by itself.
    agent.removeAllListeners('free')
    expect(await send(here(agent))).toEqual(['forwarded'])
    const answer = once(opened as unknown as Socket, 'data')
    opened?.write(`CONNECT 127.0.0.2:${named} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    opened?.resume()
    await answer
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['named: alice', 'twin: nothing'])
    agent.destroy()
  })

  it('through a tunnel the proxy reads along [F7]', async () => {
    const agent = agentWith(() => net.connect(proxy, '127.0.0.1'))
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['proxy: nothing'])
    agent.destroy()
  })

  it('an agent that has stopped connecting itself may have connections left [F6]', async () => {
    const agent = agentWith(() => net.connect(named, '127.0.0.2'))
    await send(here(agent))
    Reflect.deleteProperty(agent, 'createConnection')
    expect(await send(here(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['twin: nothing', 'twin: nothing'])
    agent.destroy()
  })

  const OTHER = { address: '127.0.0.2', family: 4 }
  const byName = (agent: Agent): RequestOptions => ({ host: 'localhost', family: 4, port: named, agent })

  it('a lookup that gives what Node’s resolver gives for the name leads to the host', async () => {
    const cached: LookupFunction = (name, options, done) => lookup(name, options, done as never)
    const agent = agentWith((options) => net.connect({ ...options, lookup: cached } as net.NetConnectOpts))
    expect(await send(byName(agent))).toEqual(['forwarded'])
    expect(arrived).toEqual(['named: alice'])
    agent.destroy()
  })

  it('a lookup that gives another address leads elsewhere, also if the resolver was asked for the name [F6]', async () => {
    const lying: LookupFunction = (name, options, done) =>
      lookup(name, options, () => (options.all ? done(null, [OTHER]) : done(null, OTHER.address, OTHER.family)))
    const agent = agentWith((options) => net.connect({ ...options, lookup: lying } as net.NetConnectOpts))
    expect(await send(byName(agent))).toEqual(['custom_connection'])
    expect(arrived).toEqual(['twin: nothing'])
    agent.destroy()
  })
})

/** A name server that has 127.0.0.2 for every name. */
async function startNameServer(): Promise<{ readonly address: string; close(): void }> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    // The question is repeated, and one record of the type A is added (RFC 1035 §4.1).
    const head = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
    const question = query.subarray(12, query.indexOf(0, 12) + 5)
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2])
    socket.send(Buffer.concat([head, question, record]), port, address)
  })
  await new Promise<void>((resolve) => void socket.bind(0, '127.0.0.1', resolve))
  return { address: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() }
}

it.each([
  ['of one resolver', () => undefined],
  ['of the whole process', setServers],
])('what a name server %s says is no address of the host, if it is not of the system [F6]', async (_, setForAll) => {
  const server = await startNameServer()
  const before = getServers()
  const resolver = new Resolver()
  resolver.setServers([server.address])
  setForAll([server.address])
  const lookupThere: LookupFunction = (_name, options, done) =>
    void resolver
      .resolve4('localhost')
      .then(([address = '']) => (options.all ? done(null, [{ address, family: 4 }]) : done(null, address, 4)))
  const agent = agentWith((options) => net.connect({ ...options, lookup: lookupThere } as net.NetConnectOpts))
  try {
    expect(await send({ host: 'localhost', family: 4, port: named, agent })).toEqual(['custom_connection'])
  } finally {
    setServers(before)
    agent.destroy()
    server.close()
  }
  expect(arrived).toEqual(['twin: nothing'])
})

describe('over TLS', () => {
  const there = (agent: Agent, port = secure): RequestOptions => ({
    protocol: 'https:',
    host: 'localhost',
    port,
    path: '/',
    agent,
  })

  /** Opens a tunnel to `port`, and TLS in it. */
  async function tunnelled(port: number, options: ConnectionOptions): Promise<tls.TLSSocket> {
    const socket = net.connect(proxy, '127.0.0.1')
    tunnels.add(socket)
    socket.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    await once(socket, 'data')
    return tls.connect({ ca: certificates.ca, servername: 'localhost', ...options, socket })
  }

  async function sendThrough(port: number, options: ConnectionOptions = {}): Promise<Verdicts> {
    const socket = await tunnelled(port, options)
    const agent = agentWith(() => socket, new https.Agent())
    return await send(there(agent, port)).finally(() => agent.destroy())
  }

  it('a tunnel carries the token, if the certificate at its end is for the host', async () => {
    expect(await sendThrough(secure)).toEqual(['forwarded'])
    expect(arrived).toEqual(['secure: alice'])
  })

  it.each<[string, ConnectionOptions]>([
    ['nothing is checked', { rejectUnauthorized: false }],
    ['the application checks the name', { checkServerIdentity: () => undefined }],
    ['another name is checked', { servername: 'elsewhere' }],
  ])('a tunnel to a server with another certificate carries none, if %s [F6, F8]', async (_, options) => {
    expect(await sendThrough(impostor, options)).toEqual(['custom_connection'])
    expect(arrived).toEqual(['impostor: nothing'])
  })

  it('a server whose certificate is not trusted gets none, whatever its name [F8]', async () => {
    expect(await sendThrough(secure, { ca: [], rejectUnauthorized: false })).toEqual(['custom_connection'])
    expect(arrived).toEqual(['secure: nothing'])
  })

  it('a tunnel that was opened for another name of the same server carries none [F6]', async () => {
    expect(await sendThrough(secure, { servername: '', host: '127.0.0.1' })).toEqual(['custom_connection'])
    expect(arrived).toEqual(['secure: nothing'])
  })

  it.each([
    ['of the host', () => secure, ['forwarded'], 'secure: alice'],
    ['that began with another certificate', () => impostor, ['custom_connection'], 'impostor: nothing'],
  ])('a session %s is resumed: the certificate of its beginning counts [F6, F8]', async (_, portOf, verdict, arrival) => {
    const first = await tunnelled(portOf(), { checkServerIdentity: () => undefined })
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    const resumed = await tunnelled(portOf(), { session })
    const agent = agentWith(() => resumed, new https.Agent())
    expect(await send(there(agent, portOf()))).toEqual(verdict)
    expect([resumed.isSessionReused(), arrived]).toEqual([true, [arrival]])
    agent.destroy()
  })

  it('a lookup of the application is bound by the certificate, and by nothing else [F6, F8]', async () => {
    const toLoopback: LookupFunction = (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }])
    const connect: Connect = (options) =>
      tls.connect({ ...(options as ConnectionOptions), ca: certificates.ca, lookup: toLoopback })
    const careless: Connect = (options) =>
      tls.connect({ ...(options as ConnectionOptions), rejectUnauthorized: false, lookup: toLoopback })
    const good = agentWith(connect, new https.Agent())
    const bad = agentWith(careless, new https.Agent())
    expect([await send(there(good)), await send(there(bad, impostor))]).toEqual([['forwarded'], ['custom_connection']])
    expect(arrived).toEqual(['secure: alice', 'impostor: nothing'])
  })
})

describe('an agent that keeps a request back', () => {
  let kept: (() => void)[] = []
  beforeEach(() => {
    kept = []
  })
  /** Sends a request of alice, which the agent passes on while it works for bob, whose request is open. */
  async function sendLater(agent: Agent): Promise<void> {
    await callers.as('alice', async () => {
      const outgoing = http.request({ ...here(agent), method: 'POST' })
      await callers.as('bob', async () => {
        for (const pass of kept) pass()
        await finish(outgoing)
      })
    })
  }

  it('in its queue has no caller for it any more [F12, F21]', async () => {
    class Queueing extends Agent {
      addRequest(...args: unknown[]): void {
        kept.push(() => Reflect.apply(Reflect.get(Agent.prototype, 'addRequest') as () => void, this, args))
      }
    }
    await sendLater(new Queueing())
    expect(arrived).toEqual(['named: nothing'])
  })

  /** Requests of alice and bob; the agent passes both on when it gets that of bob. */
  async function sendTogether(agent: Agent): Promise<void> {
    const begin = (): ClientRequest => http.request({ ...here(agent), method: 'POST' })
    await callers.as('alice', async () => {
      const first = begin()
      await callers.as('bob', async () => {
        const second = begin()
        await finish(first)
        await finish(second)
      })
    })
  }
  type AddRequest = (this: unknown, ...args: unknown[]) => void
  const addRequestOf = (agent: object): AddRequest => Reflect.get(agent, 'addRequest') as AddRequest

  /** Keeps the first of two calls back, and makes both at the second one. */
  function inPairs(add: AddRequest): AddRequest {
    return function (...args) {
      kept.push(() => Reflect.apply(add, this, args))
      if (kept.length === 2) for (const pass of kept.splice(0)) pass()
    }
  }

  it.each<[string, () => Agent]>([
    [
      'as a method of its own',
      () => Object.assign(new Agent(), { addRequest: inPairs(addRequestOf(Agent.prototype)) }),
    ],
    [
      'for an agent behind it',
      () => {
        const inner = new Agent()
        const addRequest = inPairs((...args) => void Reflect.apply(addRequestOf(inner), inner, args))
        return { protocol: 'http:', addRequest } as unknown as Agent
      },
    ],
  ])('and sends two at once, %s, does not send the first as the second caller [F12, F21]', async (_, create) => {
    await sendTogether(create())
    expect(arrived).toEqual(['named: nothing', 'named: bob'])
  })

  it('nor does other code in front of the agents of Node [F12, F21]', async () => {
    const previous = addRequestOf(Agent.prototype)
    Object.assign(Agent.prototype, { addRequest: inPairs(previous) })
    try {
      await sendTogether(new Agent())
    } finally {
      Object.assign(Agent.prototype, { addRequest: previous })
    }
    expect(arrived).toEqual(['named: nothing', 'named: bob'])
  })

  it('and passes it on to another one sends it as its caller [F12, F21]', async () => {
    const inner = new Agent() as Agent & { addRequest(...args: unknown[]): void }
    class Passing extends Agent {
      createSocket(...args: unknown[]): void {
        kept.push(() => inner.addRequest(...args))
      }
    }
    await sendLater(new Passing())
    expect(arrived).toEqual(['named: alice'])
  })
})
