/** The issuers of docs/guides/issuers.md: with the configuration of that page their access tokens are admitted, and no others. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { optionsFromEnvironment } from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import type { TokenRelayOptions } from '../../src/index.ts'
import { readBlocks, readDocument } from '../docs/markdown.ts'
import { verdict, withRelay } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'
import { AUTH0_SHAPES, COGNITO, GOOGLE, OKTA_SHAPES } from './shapes/hosted.ts'
import { KEYCLOAK } from './shapes/keycloak.ts'
import { ADFS, ENTRA_V1, ENTRA_V2 } from './shapes/microsoft.ts'
import { otherKinds } from './shapes/other-kinds.ts'
import { HYDRA_SHAPES, OIDC_PROVIDER, SPRING_SHAPES, ZITADEL_SHAPES } from './shapes/self-hosted.ts'
import type { IssuerShapes, Shape } from './shapes/shape.ts'
import { NOW } from './shapes/shape.ts'

const ISSUERS: readonly IssuerShapes[] = [
  ...[KEYCLOAK, OIDC_PROVIDER, SPRING_SHAPES, AUTH0_SHAPES, ENTRA_V2, ENTRA_V1, OKTA_SHAPES],
  ...[COGNITO, GOOGLE, ZITADEL_SHAPES, HYDRA_SHAPES, ADFS],
]
const blocks = readBlocks(readDocument('docs/guides/issuers.md'))
const signer = createSigner('RS256')

function blockOf(file: string): string {
  const block = blocks.find((each) => each.file === file)
  if (block === undefined) throw new Error(`docs/guides/issuers.md has no block ${file}`)
  return block.text
}

function optionsOf(block: string): TokenRelayOptions {
  return JSON.parse(blockOf(`${block}.json`)) as TokenRelayOptions
}

function environmentOf(block: string): Record<string, string> {
  const lines = blockOf(`${block}.env`).trim().split('\n')
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

/** The same options, with the key of this test in place of those that the issuer publishes. */
function withTestKey({ issuers, ...options }: TokenRelayOptions): TokenRelayOptions {
  const [{ jwksUri: _, ...issuer }] = issuers as [TokenRelayOptions['issuers'][0]]
  return { ...options, issuers: [{ ...issuer, jwks: { keys: [signer.jwk] } }], telemetry: { log: 'off' } }
}

function textOf({ header, claims }: Shape): string {
  if (typeof claims === 'string') return claims
  const times = 'exp' in claims ? {} : { exp: NOW + 1_800 }
  return signer.token({ iat: NOW, ...times, ...claims }, header)
}

/** Two texts of one token that is admitted. */
function accessTokenOf({ shapes }: IssuerShapes): Record<string, unknown> {
  const { claims } = shapes[0] as Shape
  return claims as Record<string, unknown>
}

describe.each(ISSUERS)('$block', ({ block, roles, shapes }) => {
  it('has one configuration, as a file and as variables', () => {
    expect(parseOptions(optionsFromEnvironment(environmentOf(block)) as TokenRelayOptions)).toEqual(
      parseOptions(optionsOf(block)),
    )
  })

  it.each(shapes)('$name: $verdict [A12]', async (shape) => {
    await withRelay(withTestKey(optionsOf(block)), async (relay) => {
      expect(await verdict(relay.verify(textOf(shape)))).toBe(shape.verdict)
    })
  })

  it('has the documented roles', async () => {
    const [first] = shapes
    await withRelay(withTestKey(optionsOf(block)), async (relay) => {
      expect((await relay.verify(textOf(first as Shape))).roles).toEqual(roles)
    })
  })

  it('no other JWT with its issuer and audience is admitted [A12]', async () => {
    const options = optionsOf(block)
    const { iss, aud = 'user-service' } = accessTokenOf({ block, roles, shapes })
    const isStrict = options.issuers?.[0]?.typ === 'at+jwt'
    await withRelay(withTestKey(options), async (relay) => {
      for (const shape of otherKinds(iss as string, aud)) {
        // The strict type refuses it earlier.
        const expected = isStrict && shape.verdict === 'ERR_TOKEN_CLAIM' ? 'ERR_TOKEN_TYPE' : shape.verdict
        expect([shape.name, await verdict(relay.verify(textOf(shape)))]).toEqual([shape.name, expected])
      }
    })
  })
})

it('each has access tokens that are admitted, and others that are not', () => {
  for (const { block, shapes } of ISSUERS) {
    const admitted = shapes.filter((shape) => shape.verdict === 'verified')
    expect([block, admitted.length > 0, admitted.length < shapes.length]).toEqual([block, true, true])
  }
})

describe('the rule of Cognito', () => {
  async function relayOptions(): Promise<TokenRelayOptions> {
    const folder = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
    try {
      writeFileSync(join(folder, 'cognito.mjs'), blockOf('cognito.mjs'))
      const loaded = (await import(pathToFileURL(join(folder, 'cognito.mjs')).href)) as { default: TokenRelayOptions }
      return loaded.default
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  it.each([
    ['of a named client', {}, 'verified'],
    ['of another client', { client_id: '9example23456789' }, 'ERR_TOKEN_RULE'],
    ['without a client', { client_id: undefined }, 'ERR_TOKEN_CLAIM'],
    ['that is an ID token', { token_use: 'id' }, 'ERR_TOKEN_TYPE'],
  ])('decides on a token %s', async (_, changes, expected) => {
    const claims = { ...accessTokenOf(COGNITO), ...changes }
    const token = textOf({ name: '', header: { typ: undefined }, claims, verdict: 'verified' })
    await withRelay(withTestKey(await relayOptions()), async (relay) => {
      expect(await verdict(relay.verify(token))).toBe(expected)
    })
  })
})

describe('the strict type', () => {
  it('is one configuration, as a file and as variables', () => {
    expect(parseOptions(optionsFromEnvironment(environmentOf('strict')) as TokenRelayOptions)).toEqual(
      parseOptions(optionsOf('strict')),
    )
  })

  it.each(['at+jwt', 'application/at+jwt', 'JWT', undefined])('decides on typ %s', async (typ) => {
    const claims = { iss: 'https://id.example.com', aud: 'user-service', sub: 'alice' }
    const token = textOf({ name: '', header: { typ }, claims, verdict: 'verified' })
    const expected = typ?.endsWith('at+jwt') === true ? 'verified' : 'ERR_TOKEN_TYPE'
    await withRelay(withTestKey(optionsOf('strict')), async (relay) => {
      expect(await verdict(relay.verify(token))).toBe(expected)
    })
  })
})

it('docs/guides/issuers.md has no block that this test does not read', () => {
  const read = [...ISSUERS.map(({ block }) => block), 'strict'].flatMap((name) => [`${name}.json`, `${name}.env`])
  expect(blocks.map(({ file }) => file).toSorted()).toEqual([...read, 'cognito.mjs'].toSorted())
})
