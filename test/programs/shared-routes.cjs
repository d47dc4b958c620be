/** What both do: one agent per version and interceptor, asked for the URL of the query. */

const { listen } = require('./routes.cjs')

function serve(http, undici) {
  const agents = new Map()
  for (const [version, { Agent, interceptors }] of Object.entries(undici)) {
    agents.set(`none ${version}`, new Agent())
    for (const name of ['cache', 'deduplicate']) {
      agents.set(`${name} ${version}`, new Agent().compose(interceptors[name]()))
    }
  }
  const server = http.createServer(async (incoming, response) => {
    const { searchParams } = new URL(incoming.url, 'http://service')
    const [version, name, url] = ['version', 'name', 'url'].map((key) => searchParams.get(key))
    const { body } = await undici[version].request(url, { dispatcher: agents.get(`${name} ${version}`) })
    response.end(await body.text())
  })
  return listen(server)
}

module.exports = { serve }
