/** A test of a program whose relay `NODE_OPTIONS` has preloaded: it is in another realm than the test. */

const { createTokenRelay, getActiveCredential, getActiveRelay, runWithToken } = require('otel-token-relay')
const { createService } = require('./service')
const { options, tokens } = require('./given')

const service = createService()
let origin
beforeAll((done) => {
  service.listen(0, '127.0.0.1', () => {
    origin = `http://127.0.0.1:${service.address().port}`
    done()
  })
})
afterAll(() => void service.close())

test('the relay is that of the process', () => {
  expect(getActiveRelay().ready()).toBe(true)
  expect(() => createTokenRelay(options)).toThrow(expect.objectContaining({ code: 'ERR_RELAY_ACTIVE' }))
})

test('a request without a token is refused', async () => {
  expect((await fetch(`${origin}/fetch/preloaded`)).status).toBe(401)
})

test.each(['fetch', 'http'])('a handler sees the caller, and calls by %s', async (client) => {
  const headers = { authorization: `Bearer ${tokens.bob}` }
  const response = await fetch(`${origin}/${client}/preloaded`, { headers })
  expect(await response.text()).toBe('bob')
  expect(getActiveCredential()).toBeUndefined()
})

test('nothing is sent for a caller that only this copy of the package knows', async () => {
  const subject = await runWithToken(tokens.carol, async () => {
    await fetch(`${process.env.SINK}/unsent`)
    return getActiveCredential().subject
  })
  expect(subject).toBe('carol')
})
