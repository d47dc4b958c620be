/** A test that creates the relay itself. */

const { createTokenRelay, getActiveRelay } = require('otel-token-relay')
const { createService } = require('./service')
const { options, tokens } = require('./given')

const service = createService()
let relay
let origin
beforeAll((done) => {
  relay = createTokenRelay(options)
  service.listen(0, '127.0.0.1', () => {
    origin = `http://127.0.0.1:${service.address().port}`
    done()
  })
})
afterAll(async () => {
  service.close()
  await relay.shutdown()
})

test('a request without a token is refused', async () => {
  expect((await fetch(`${origin}/fetch/created`)).status).toBe(401)
})

test.each(['fetch', 'http'])('a handler sees the caller, and calls by %s', async (client) => {
  const headers = { authorization: `Bearer ${tokens.alice}` }
  const response = await fetch(`${origin}/${client}/created`, { headers })
  expect(await response.text()).toBe('alice')
})

test('a second relay is refused', () => {
  expect(getActiveRelay()).toBe(relay)
  expect(() => createTokenRelay(options)).toThrow(expect.objectContaining({ code: 'ERR_RELAY_ACTIVE' }))
})
