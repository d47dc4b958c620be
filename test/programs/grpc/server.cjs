/** A gRPC server made with proto-loader. For each name it greets, it asks the server of that name. No word of tokens. */

const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const protoLoader = require('@grpc/proto-loader')

const definition = protoLoader.loadSync(path.join(__dirname, 'greeter.proto'), { keepCase: true, defaults: true })
const { greeter } = grpc.loadPackageDefinition(definition)

const clients = new Map()

/** With a callback, as generated clients have it; all callers share one client per name. */
function ask(name, callback) {
  if (!clients.has(name)) clients.set(name, new greeter.Greeter(name, grpc.credentials.createInsecure()))
  clients.get(name).greet({ name }, (error) => callback(error ? 'no answer' : `asked ${name}`))
}

function greet(call, callback) {
  ask(call.request.name, (text) => callback(null, { text }))
}

function list(call) {
  ask(call.request.name, (text) => {
    call.write({ text })
    call.end()
  })
}

function record(call, callback) {
  const names = []
  call.on('data', ({ name }) => names.push(name))
  call.on('end', () => ask(names[0], (text) => callback(null, { text })))
}

function chat(call) {
  let open = 0
  let ended = false
  const finish = () => ended && open === 0 && call.end()
  call.on('data', ({ name }) => {
    open += 1
    ask(name, (text) => {
      call.write({ text })
      open -= 1
      finish()
    })
  })
  call.on('end', () => {
    ended = true
    finish()
  })
}

const server = new grpc.Server()
server.addService(greeter.Greeter.service, { greet })
server.addService(greeter.Tour.service, { list, record, chat })
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (_error, port) => {
  process.stdout.write(`${JSON.stringify({ port })}\n`)
})
