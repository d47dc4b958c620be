/** Tokens of the test issuer at a real gate: good ones pass, and each bad one is refused with the code of its name. */

import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { BadTokenKind, FlavourName, TestIssuer } from '../../src/testing/index.ts'
import { BAD_TOKENS, createTestIssuer, refusalCodeOf } from '../../src/testing/index.ts'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import { readBlocks, readDocument } from '../docs/markdown.ts'
import { close, listen } from '../support/issuer.ts'
import { verdict } from '../support/relay.ts'

const KINDS = Object.keys(BAD_TOKENS) as BadTokenKind[]
const FLAVOURS: readonly FlavourName[] = ['plain', 'keycloak', 'auth0', 'entra', 'cognito']

describe.each(FLAVOURS)('speaking as %s', (flavour) => {
  let issuer: TestIssuer
  let relay: TokenRelay
  beforeAll(async () => {
    issuer = await createTestIssuer({ flavour })
    relay = createTokenRelay({ issuers: [issuer.configuration], telemetry: { log: 'off' } })
    await relay.hydrate()
  })
  afterAll(async () => {
    await relay.shutdown()
    await issuer.close()
  })

  it('a good token is accepted, with what it was made of', async () => {
    const token = issuer.token({ subject: 'bob', roles: ['editor'], sessionId: 's1' })
    const credential = await relay.verify(token)
    expect(credential).toMatchObject({ subject: 'bob', issuer: issuer.issuer })
    expect(credential.roles).toContain('editor')
  })

  it.each(KINDS)('%s is refused', async (kind) => {
    expect(await verdict(relay.verify(issuer.badToken(kind)))).toBe(refusalCodeOf(kind, { flavour }))
  })
})

/** The blocks of docs/guides/issuers.md that the flavours are from. */
const BLOCKS = { keycloak: 'keycloak', auth0: 'auth0', entra: 'entra-v2', cognito: 'cognito' } as const

it.each(Object.entries(BLOCKS))('%s has the configuration of the guide to issuers', async (flavour, block) => {
  await using issuer = await createTestIssuer({ flavour: flavour as FlavourName })
  const text = readBlocks(readDocument('docs/guides/issuers.md')).find(({ file }) => file === `${block}.json`)?.text
  const { issuers: [documented] = [] } = JSON.parse(text ?? '') as TokenRelayOptions
  const { keySet, issuer: url, ...configuration } = issuer.configuration
  expect({ ...configuration, issuer: '' }).toEqual({ ...documented, issuer: '' })
  expect(keySet).toEqual({ cooldownMillis: 0 })
  // The same path, and the same slash at the end.
  expect(new URL(url).pathname).toBe(new URL(documented?.issuer ?? '').pathname)
  expect(url.endsWith('/')).toBe(documented?.issuer.endsWith('/'))
})

describe('at the gate of a server in the same process', () => {
  const served: string[] = []
  const server = createServer((_, response) => {
    served.push('handled')
    response.end('handled')
  })
  let issuer: TestIssuer
  let relay: TokenRelay
  let port = 0
  beforeAll(async () => {
    issuer = await createTestIssuer()
    relay = createTokenRelay({
      issuers: [{ ...issuer.configuration, introspection: issuer.introspection }],
      telemetry: { log: 'off' },
    })
    relay.instrumentation.enable()
    port = await listen(server)
  })
  afterAll(async () => {
    await close(server)
    await relay.shutdown()
    await issuer.close()
  })

  async function send(token: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}` } })
    await response.text()
    return response.status
  }

  it('good tokens reach the handler: the gate lets the keys and the introspection through', async () => {
    served.length = 0
    expect(await send(issuer.token())).toBe(200)
    expect(await send(issuer.opaqueToken())).toBe(200)
    expect(served).toHaveLength(2)
  })

  it.each(KINDS)('%s does not', async (kind) => {
    served.length = 0
    const code = refusalCodeOf(kind, { introspection: true })
    const token = issuer.badToken(kind)
    expect(await verdict(relay.verify(token))).toBe(code)
    expect(await send(token)).toBe(TOKEN_ERRORS[code].status)
    expect(served).toEqual([])
  })
})

it.each(['ES256', 'RS256', 'PS256', 'EdDSA'] as const)('signs with %s', async (algorithm) => {
  await using issuer = await createTestIssuer({ algorithm })
  const relay = createTokenRelay({ issuers: [issuer.configuration], telemetry: { log: 'off' } })
  try {
    expect(await verdict(relay.verify(issuer.token()))).toBe('verified')
    for (const kind of ['signature', 'tampered', 'hmac', 'other-algorithm', 'zero-signature'] as const) {
      expect([kind, await verdict(relay.verify(issuer.badToken(kind)))]).toEqual([kind, refusalCodeOf(kind)])
    }
  } finally {
    await relay.shutdown()
  }
})

it('each bad token has a reason in words, and a code of the table of errors', () => {
  for (const { code, means } of Object.values(BAD_TOKENS)) {
    expect(Object.keys(TOKEN_ERRORS)).toContain(code)
    expect(means).toMatch(/^[a-z].* .*[^.]$/)
  }
})
