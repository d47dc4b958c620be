/** Each kind of Node's handles: whether what it delivers is the work of the caller in whose request it was made. */

import { asyncWrapProviders } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import childProcess, { exec, execFile, fork, spawn } from 'node:child_process'
import { createHash, pbkdf2 } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns'
import { once } from 'node:events'
import type { FSWatcher } from 'node:fs'
import {
  appendFileSync,
  constants,
  createReadStream,
  mkdtempSync,
  openSync,
  readFile,
  rmSync,
  unwatchFile,
  watch,
  watchFile,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer, get } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect, createServer as createTcpServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { MessageChannel, Worker } from 'node:worker_threads'
import { gzip } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { getActiveCredential } from '../../src/index.ts'
import type { Callers } from '../support/callers.ts'
import { startCallers } from '../support/callers.ts'
import { createCertificates } from '../support/certificates.ts'

let callers: Callers
const folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-handles-'))
const ECHO = join(folder, 'echo.cjs')
const CAT = "process.stdin.on('data', (chunk) => { process.stdout.write(chunk); process.stderr.write(chunk) })"
const THREAD = `
  const { parentPort } = require('node:worker_threads')
  parentPort.on('message', (message) => {
    if (message === 'exit') process.exit(0)
    if (message === 'throw') throw new Error('as asked')
    console.log(message)
    parentPort.postMessage(message)
  })
  parentPort.postMessage('ready')`

beforeAll(async () => {
  callers = await startCallers()
  writeFileSync(ECHO, "process.on('message', (m) => m === 'disconnect' ? process.disconnect() : process.send(m))")
})
afterAll(async () => {
  await callers[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** What is made in alice's request, and what bob does with it in his own. Says as whom it delivers then. */
interface Handle {
  /** Calls `deliver` whenever something comes. */
  readonly poke: () => unknown
  readonly stop?: () => unknown
}
type Start = (deliver: () => void) => Handle | Promise<Handle>

const subject = (): string => getActiveCredential()?.subject ?? 'without a caller'

/** Both requests are open all the time. */
async function deliveredAs(start: Start): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  return callers.as('alice', async () => {
    let isPoked = false
    const handle = await start(() => {
      if (isPoked) resolve(subject())
    })
    await callers.as('bob', async () => {
      isPoked = true
      await handle.poke()
      await promise
    })
    await handle.stop?.()
    return promise
  })
}

const cat = (): ChildProcess => spawn(process.execPath, ['-e', CAT])
function child(
  listen: (child: ChildProcess, deliver: () => void) => void,
  poke: (child: ChildProcess) => unknown,
): Start {
  return (deliver) => {
    const made = cat()
    listen(made, deliver)
    return { poke: () => poke(made), stop: () => made.kill('SIGKILL') }
  }
}
const write = ({ stdin }: ChildProcess): unknown => stdin?.write('x\n')
const kill = (made: ChildProcess): unknown => made.kill('SIGKILL')

function forked(event: 'message' | 'disconnect', message: string): Start {
  return (deliver) => {
    const made = fork(ECHO, { execArgv: [] }).on(event, deliver)
    return { poke: () => made.send(message), stop: () => made.kill('SIGKILL') }
  }
}

function worker(listen: (worker: Worker, deliver: () => void) => void, message: string): Start {
  return async (deliver) => {
    const made = new Worker(THREAD, { eval: true, stdout: true })
    made.on('error', () => undefined)
    await once(made, 'message')
    listen(made, deliver)
    return { poke: () => made.postMessage(message), stop: () => made.terminate() }
  }
}

/** One end in alice's hands, the other one in bob's. */
function channel(listen: (port: MessageChannel['port1'], deliver: () => void) => void, how = 'postMessage'): Start {
  return (deliver) => {
    const { port1, port2 } = new MessageChannel()
    listen(port1, deliver)
    return { poke: () => (how === 'close' ? port2.close() : port2.postMessage('x')), stop: () => port1.close() }
  }
}

function file(open: (path: string, deliver: () => void) => () => void): Start {
  return (deliver) => {
    const path = join(folder, crypto.randomUUID())
    writeFileSync(path, 'x')
    const close = open(path, deliver)
    return { poke: () => appendFileSync(path, 'more'), stop: close }
  }
}

function signal(add: 'on' | 'once' | 'prependListener'): Start {
  return (deliver) => {
    process[add]('SIGUSR2', deliver)
    return { poke: () => process.kill(process.pid, 'SIGUSR2'), stop: () => process.off('SIGUSR2', deliver) }
  }
}

const listening = async <T extends { address(): unknown }>(server: T & NodeJS.EventEmitter): Promise<number> => {
  if (server.address() === null) await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function close(client: { destroy(): unknown }, server: { close(): unknown }): void {
  client.destroy()
  server.close()
}

/** A pipe that only the test writes to, as terminals of other packages are. */
async function fifo(): Promise<{ readonly path: string; readonly fd: number }> {
  const path = join(folder, crypto.randomUUID())
  await promisify(execFile)('mkfifo', [path])
  return { path, fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK) }
}

const FOR_ALL: Readonly<Record<string, Start>> = {
  'stdout of a child process': child(({ stdout }, deliver) => stdout?.on('data', deliver), write),
  'stderr of a child process': child(({ stderr }, deliver) => stderr?.on('data', deliver), write),
  'readable stdout of a child process': child(
    ({ stdout }, deliver) => stdout?.on('readable', () => stdout.read() && deliver()),
    write,
  ),
  'lines of a child process': child(({ stdout }, deliver) => {
    if (stdout) createInterface({ input: stdout }).on('line', deliver)
  }, write),
  'exit of a child process': child((made, deliver) => made.on('exit', deliver), kill),
  'close of a child process': child((made, deliver) => made.on('close', deliver), kill),
  'end of the stdout of a child process': child(({ stdout }, deliver) => stdout?.resume().on('end', deliver), kill),
  'close of the stdin of a child process': child(({ stdin }, deliver) => stdin?.on('close', deliver), kill),
  'an extra pipe of a child process': (deliver) => {
    const program = "process.stdin.on('data', (chunk) => require('node:fs').writeSync(3, chunk))"
    const made = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })
    const pipe = made.stdio[3] as Socket
    pipe.on('data', deliver)
    return { poke: () => write(made), stop: () => made.kill('SIGKILL') }
  },
  'stdout of exec': (deliver) => {
    const made = exec(`"${process.execPath}" -e "${CAT}"`)
    made.stdout?.on('data', deliver)
    return { poke: () => write(made), stop: () => made.stdin?.end() }
  },
  'messages of a child process': forked('message', 'x'),
  'disconnect of a child process': forked('disconnect', 'disconnect'),
  'messages of a worker': worker((made, deliver) => made.on('message', deliver), 'x'),
  'stdout of a worker': worker((made, deliver) => made.stdout.on('data', deliver), 'x'),
  'lines of a worker': worker((made, deliver) => createInterface({ input: made.stdout }).on('line', deliver), 'x'),
  'exit of a worker': worker((made, deliver) => made.on('exit', deliver), 'exit'),
  'end of the stdout of a worker': worker((made, deliver) => made.stdout.resume().on('end', deliver), 'exit'),
  'errors of a worker': worker((made, deliver) => made.on('error', deliver), 'throw'),
  'a message port, by on': channel((port, deliver) => port.on('message', deliver)),
  'a message port, by once': channel((port, deliver) => port.once('message', deliver)),
  'a message port, by onmessage': channel((port, deliver) => Object.assign(port, { onmessage: deliver })),
  'a message port, by addEventListener': channel((port, deliver) => {
    ;(port as unknown as EventTarget).addEventListener('message', deliver)
    port.start()
  }),
  'close of a message port': channel((port, deliver) => port.on('close', deliver), 'close'),
  'a broadcast channel': (deliver) => {
    const name = crypto.randomUUID()
    const [mine, other] = [new BroadcastChannel(name), new BroadcastChannel(name)]
    Object.assign(mine, { onmessage: deliver })
    return { poke: () => other.postMessage('x'), stop: () => [mine, other].map((each) => each.close()) }
  },
  'fs.watch': file((path, deliver) => {
    const watcher: FSWatcher = watch(path, deliver)
    return () => watcher.close()
  }),
  'fs.watch of a folder, recursive': (deliver) => {
    const watcher = watch(folder, { recursive: true }).on('change', deliver)
    return { poke: () => writeFileSync(join(folder, crypto.randomUUID()), 'x'), stop: () => watcher.close() }
  },
  'fs.watchFile': file((path, deliver) => {
    watchFile(path, { interval: 20 }, deliver)
    return () => unwatchFile(path)
  }),
  'a signal, by on': signal('on'),
  'a signal, by once': signal('once'),
  'a signal, by prependListener': signal('prependListener'),
  'events of the process': (deliver) => {
    process.on('warning', deliver)
    return { poke: () => process.emitWarning('as asked'), stop: () => process.off('warning', deliver) }
  },
  'a TCP server': async (deliver) => {
    const server = createTcpServer((socket) => socket.on('data', deliver).on('error', () => undefined))
    const port = await listening(server.listen(0, '127.0.0.1'))
    return { poke: () => connect(port, '127.0.0.1').end('x'), stop: () => server.close() }
  },
  'an HTTP server': async (deliver) => {
    const server = createHttpServer((_, response) => {
      deliver()
      response.end()
    })
    const port = await listening(server.listen(0, '127.0.0.1'))
    return {
      poke: () => get({ host: '127.0.0.1', port, agent: false }).on('error', () => undefined),
      stop: () => server.close(),
    }
  },
  'an HTTP/2 server': async (deliver) => {
    const server = createHttp2Server().on('stream', (stream) => {
      deliver()
      stream.end()
    })
    const port = await listening(server.listen(0, '127.0.0.1') as never)
    const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => undefined)
    return { poke: () => session.request().resume(), stop: () => close(session, server) }
  },
  'a session of an HTTP/2 client': async (deliver) => {
    const server = createHttp2Server().on('session', (session) => session.on('ping', () => session.goaway()))
    const port = await listening(server.listen(0, '127.0.0.1') as never)
    const session = connectHttp2(`http://127.0.0.1:${port}`)
      .on('error', () => undefined)
      .on('goaway', deliver)
    await once(session, 'connect')
    return { poke: () => session.ping(() => undefined), stop: () => close(session, server) }
  },
  'a datagram socket': async (deliver) => {
    const socket = createSocket('udp4', deliver).bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    return { poke: () => socket.send('x', port, '127.0.0.1'), stop: () => socket.close() }
  },
  'a socket over a file descriptor': async (deliver) => {
    const { path, fd } = await fifo()
    const socket = new Socket({ fd, readable: true, writable: false }).on('data', deliver)
    return { poke: () => appendFileSync(path, 'x'), stop: () => socket.destroy() }
  },
  'a TLS socket that was made by hand': async (deliver) => {
    const certificates = await createCertificates()
    const server = createTcpServer((socket) => {
      const encrypted = new TLSSocket(socket, { isServer: true, ...certificates })
      encrypted.on('data', () => encrypted.write('y')).on('error', () => undefined)
    })
    const port = await listening(server.listen(0, '127.0.0.1'))
    const encrypted = new TLSSocket(connect(port, '127.0.0.1'), {
      ca: certificates.ca,
      rejectUnauthorized: false,
    } as object)
    encrypted.on('data', deliver).on('error', () => undefined)
    return { poke: () => encrypted.write('x'), stop: () => close(encrypted, server) }
  },
}

it.each(Object.entries(FOR_ALL))('%s, made in alice’s request: delivers without a caller [G12]', async (_, start) => {
  expect(await deliveredAs(start)).toBe('without a caller')
})

/** What is done once, for the caller that asks for it. `done` is called in its callback. */
const FOR_ONE: Readonly<Record<string, (done: () => void) => unknown>> = {
  setTimeout: (done) => setTimeout(done, 1),
  setImmediate: (done) => setImmediate(done),
  // An interval is a loop of its caller's: it ends when `detached` says so, or is cleared.
  setInterval: (done) => {
    const interval = setInterval(() => {
      clearInterval(interval)
      done()
    }, 1)
  },
  queueMicrotask: (done) => queueMicrotask(done),
  'process.nextTick': (done) => process.nextTick(done),
  'the callback of exec': (done) => exec('true', done),
  'the callback of execFile': (done) => execFile('true', done),
  'the callback of execFile with arguments and options': (done) => childProcess.execFile('true', ['x'], {}, done),
  'promisified exec': (done) => promisify(exec)('true').then(done),
  'promisified execFile': (done) => promisify(execFile)('true', []).then(done),
  'the promise of the exit of a child process': (done) => once(spawn('true'), 'exit').then(done),
  'an iteration over the stdout of a child process': async (done) => {
    for await (const _ of spawn('echo', ['x']).stdout) done()
  },
  'dns.lookup': (done) => lookup('localhost', done),
  'fs.readFile': (done) => readFile(ECHO, done),
  'a file stream': (done) => createReadStream(ECHO).on('data', done),
  zlib: (done) => gzip('x', done),
  'crypto.pbkdf2': (done) => pbkdf2('x', 'y', 1, 8, 'sha256', done),
  'a hash stream': (done) => createHash('sha256').on('finish', done).end('x'),
  'an HTTP response': (done) => get(callers.origin, (response) => response.resume().on('end', done)),
  'the body of fetch': async (done) => {
    for await (const _ of (await fetch(`${callers.origin}/`)).body ?? []) done()
    done()
  },
  'a message port, awaited': async (done) => {
    const { port1, port2 } = new MessageChannel()
    const message = once(port1, 'message')
    port2.postMessage('x')
    await message
    port1.close()
    done()
  },
  'the promise of a worker': async (done) => {
    const made = new Worker(THREAD, { eval: true })
    await once(made, 'message')
    await made.terminate()
    done()
  },
}

it.each(Object.entries(FOR_ONE))('%s keeps its caller', async (_, start) => {
  const seen = await callers.as(
    'alice',
    () =>
      new Promise<string>((resolve) => {
        void start(() => resolve(subject()))
      }),
  )
  expect(seen).toBe('alice')
})

/** What Node makes handles and requests of; a kind that is not here has to be decided. */
const KINDS: Readonly<Record<'for all' | 'for one' | 'none', readonly string[]>> = {
  'for all': [
    'FSEVENTWRAP',
    'HTTP2SESSION',
    'MESSAGEPORT',
    'PIPESERVERWRAP',
    'PIPEWRAP',
    'PROCESSWRAP',
    'SIGNALWRAP',
    'STATWATCHER',
    'TCPSERVERWRAP',
    'TCPWRAP',
    'TLSWRAP',
    'TTYWRAP',
    'UDPWRAP',
    'WORKER',
  ],
  'for one': [
    'BLOBREADER',
    'CHECKPRIMEREQUEST',
    'CIPHERREQUEST',
    'DERIVEBITSREQUEST',
    'DIRHANDLE',
    'FILEHANDLE',
    'FILEHANDLECLOSEREQ',
    'FSREQCALLBACK',
    'FSREQPROMISE',
    'GETADDRINFOREQWRAP',
    'GETNAMEINFOREQWRAP',
    'HASHREQUEST',
    'HTTP2PING',
    'HTTP2SETTINGS',
    'HTTP2STREAM',
    'HTTPCLIENTREQUEST',
    'HTTPINCOMINGMESSAGE',
    'KEYEXPORTREQUEST',
    'KEYGENREQUEST',
    'KEYPAIRGENREQUEST',
    'LOCKS',
    'PBKDF2REQUEST',
    'PIPECONNECTWRAP',
    'PROMISE',
    'QUERYWRAP',
    'RANDOMBYTESREQUEST',
    'RANDOMPRIMEREQUEST',
    'SCRYPTREQUEST',
    'ARGON2REQUEST',
    'SHUTDOWNWRAP',
    'SIGNREQUEST',
    'STREAMPIPE',
    'TCPCONNECTWRAP',
    'UDPSENDWRAP',
    'VERIFYREQUEST',
    'WORKERHEAPSNAPSHOT',
    'WORKERHEAPSTATISTICS',
    'WORKERCPUUSAGE',
    'WORKERCPUPROFILE',
    'WORKERHEAPPROFILE',
    'WRITEWRAP',
    'ZLIB',
  ],
  // They call nothing of an application's, are inside of one of the others, or are experimental.
  none: [
    'NONE',
    'DNSCHANNEL',
    'ELDHISTOGRAM',
    'HEAPSNAPSHOT',
    'JSSTREAM',
    'JSUDPWRAP',
    'SIGINTWATCHDOG',
    'QUIC_ENDPOINT',
    'QUIC_LOGSTREAM',
    'QUIC_SESSION',
    'QUIC_STREAM',
    'QUIC_UDP',
    'QUIC_PACKET',
    'DTLS_ENDPOINT',
    'DTLS_SESSION',
  ],
}

it('every kind of handle and request that this version of Node has is decided', () => {
  const decided = new Set(Object.values(KINDS).flat())
  expect(Object.keys(asyncWrapProviders).filter((kind) => !decided.has(kind))).toEqual([])
})
