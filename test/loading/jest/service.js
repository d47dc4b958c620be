/** The application: answers who the caller is, and what a call to `SINK` has carried. */

const http = require('node:http')
const { getActiveCredential } = require('otel-token-relay')

const clients = {
  fetch: async (url) => void (await (await fetch(url)).text()),
  http: (url) =>
    new Promise((resolve, reject) => {
      http.get(url, (response) => response.resume().on('end', resolve)).on('error', reject)
    }),
}

/** `GET /{client}/{path at the sink}` */
exports.createService = () =>
  http.createServer(async (request, response) => {
    const [, client, path] = request.url.split('/')
    await clients[client](`${process.env.SINK}/${path}`)
    response.end(String(getActiveCredential()?.subject))
  })
