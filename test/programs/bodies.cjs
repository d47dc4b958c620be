/** Servers that read bodies in every way: raw, chunked with trailers, through express and its parsers, over TLS with ALPN. */

const http = require('node:http')
const http2 = require('node:http2')
const express = require('express')
const { createHash } = require('node:crypto')
const { listen, whoami } = require('./routes.cjs')

async function raw(request, response) {
  const hash = createHash('sha256')
  for await (const chunk of request) hash.update(chunk)
  const { subject } = whoami()
  response.end(JSON.stringify({ subject, sha256: hash.digest('hex'), trailers: request.trailers ?? {} }))
}

async function main() {
  await listen(http.createServer(raw), 'raw')
  const app = express()
  app.use(express.json({ limit: '1mb' }), express.urlencoded({ extended: true }), express.text({ limit: '1mb' }))
  app.all('/{*path}', (request, response) => {
    response.json({
      subject: whoami().subject,
      type: typeof request.body,
      length: JSON.stringify(request.body)?.length,
    })
  })
  await listen(http.createServer(app), 'express')
  const tls = JSON.parse(process.env.TLS)
  await listen(http2.createSecureServer({ ...tls, allowHTTP1: true }, raw), 'alpn')
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
}

main()
