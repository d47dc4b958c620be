/** `@grpc/grpc-js`: the four kinds of calls, and what its channels do by themselves. */

const { Client, Metadata, credentials } = require('@grpc/grpc-js')

const RETRY_POLICY = {
  maxAttempts: 3,
  initialBackoff: '0.05s',
  maxBackoff: '0.1s',
  backoffMultiplier: 1,
  retryableStatusCodes: ['UNAVAILABLE'],
}
const RETRYING = {
  'grpc.service_config': JSON.stringify({ methodConfig: [{ name: [{}], retryPolicy: RETRY_POLICY }] }),
}

const bytes = (value) => value

/** A call of one kind; messages are empty, so that no schema is needed. */
const KINDS = {
  unary: (client, path, metadata, finish) =>
    client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, finish),
  'client streaming': (client, path, metadata, finish) => {
    const call = client.makeClientStreamRequest(path, bytes, bytes, metadata, finish)
    call.write(Buffer.alloc(0))
    call.end()
    return call
  },
  'server streaming': (client, path, metadata, finish) =>
    read(client.makeServerStreamRequest(path, bytes, bytes, Buffer.alloc(0), metadata), finish),
  'both streaming': (client, path, metadata, finish) => {
    const call = read(client.makeBidiStreamRequest(path, bytes, bytes, metadata), finish)
    call.write(Buffer.alloc(0))
    call.end()
    return call
  },
}

function read(call, finish) {
  return call.resume().on('error', finish).on('end', finish)
}

/** All callers share the channel to a target, which is one connection. */
function via(kind, options) {
  const clients = new Map()
  function clientFor({ protocol, host }) {
    if (!clients.has(host)) {
      const secure = protocol === 'grpcs:' ? credentials.createSsl() : credentials.createInsecure()
      clients.set(host, new Client(host, secure, options))
    }
    return clients.get(host)
  }
  return (url, { headers, signal }) =>
    new Promise((resolve, reject) => {
      const target = new URL(url)
      const metadata = new Metadata()
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
      const call = KINDS[kind](clientFor(target), target.pathname, metadata, (error) =>
        error ? reject(error) : resolve(),
      )
      signal?.addEventListener('abort', () => call.cancel())
    })
}

module.exports = [
  ...Object.keys(KINDS).flatMap((kind) => [
    { name: `grpc ${kind}`, scheme: 'grpc', limits: true, call: via(kind) },
    { name: `grpc ${kind}, TLS`, scheme: 'grpcs', limits: true, call: via(kind) },
  ]),
  { name: 'grpc retry policy', scheme: 'grpc', limits: true, retries: true, call: via('unary', RETRYING) },
]
