/** What has to follow the fake timers of each test runner. `advance` moves them by milliseconds. */

const assert = require('node:assert/strict')
const { createTokenRelay, getActiveCredential } = require('otel-token-relay')
const { consume, produce } = require('otel-token-relay/messaging')
const { asCaller, createTestDestination, createTestIssuer, createTestRelay } = require('otel-token-relay/testing')

async function withKit(options, use) {
  const billing = await createTestDestination()
  const queue = await createTestDestination({ protocol: 'queue' })
  const kit = await createTestRelay({ destinations: [billing, queue], ...options })
  try {
    await use({ billing, queue, ...kit })
  } finally {
    await kit[Symbol.asyncDispose]()
    await billing[Symbol.asyncDispose]()
  }
}

/** A token is sent until it expires. */
exports.checkExpiry = (advance) =>
  withKit({}, async ({ billing }) => {
    await asCaller({ subject: 'alice', expiresIn: 60 }, async () => {
      await fetch(billing.origin)
      advance(120_000)
      await fetch(billing.origin)
    })
    assert.deepEqual(
      billing.received.map(({ tokens }) => tokens.length),
      [1, 0],
    )
  })

/** Long work ends soon after its token is revoked. */
exports.checkRevocation = (advance) =>
  withKit({}, async ({ relay }) => {
    await asCaller({ subject: 'alice' }, async ({ credential }) => {
      const { signal } = credential
      await relay.revoke(credential)
      assert.equal(signal.aborted, false)
      advance(1_000)
      assert.equal(signal.aborted, true)
      assert.equal(getActiveCredential(), credential)
    })
  })

/** A sealed token opens for as long as `sealing.maxAgeSeconds` says. */
exports.checkSealing = (advance) =>
  withKit({ sealing: { maxAgeSeconds: 60 } }, async ({ queue }) => {
    const publish = () =>
      asCaller({ subject: 'alice', expiresIn: 600 }, () =>
        produce(queue.name, (headers) => queue.publish('an order', headers)),
      )
    const handle = async () => {
      const { headers } = await queue.take()
      return await consume({ source: queue.name, headers }, () => getActiveCredential().subject)
    }
    await publish()
    assert.equal((await handle()).result, 'alice')
    await publish()
    advance(120_000)
    assert.equal((await handle()).error.code, 'ERR_TOKEN_SEAL')
  })

/** A token of the service itself is renewed. */
exports.checkRenewal = async (advance) => {
  const issuer = await createTestIssuer()
  const relay = createTokenRelay({
    issuers: [{ ...issuer.configuration, exchange: issuer.exchange }],
    ingress: { mode: 'off' },
    telemetry: { log: 'off' },
  })
  try {
    const source = relay.tokenSource({ issuer: issuer.issuer, grant: 'client_credentials' })
    const first = await source.get()
    assert.equal(await source.get(), first)
    advance(3_600_000)
    assert.notEqual(await source.get(), first)
  } finally {
    await relay.shutdown()
    await issuer.close()
  }
}
