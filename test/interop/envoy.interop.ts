/** The blocks of docs/guides/envoy-istio.md: a real Envoy in front of the gate, and Istio’s own schemas. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import express from 'express'
import type { JWTPayload } from 'jose'
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { authenticate } from '../../src/ingress/adapters/express.ts'
import { readBlocks, readDocument } from '../docs/markdown.ts'
import { freePorts } from '../support/brokers.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { Resources } from '../support/resources.ts'
import { complaintsOfEnvoy, startEnvoy } from './envoy.ts'

const blocks = readBlocks(readDocument('docs/guides/envoy-istio.md'))
const textOf = (name: string): string => blocks.find(({ file }) => file === name)?.text ?? ''

it('the page has two blocks', () => {
  expect(blocks.map(({ file }) => file)).toEqual(['envoy.yaml', 'istio.yaml'])
})

describe('envoy.yaml', () => {
  const resources = new Resources()
  let token: (claims?: Readonly<Record<string, unknown>>) => Promise<string>
  let foreign: string
  let ports: { readonly page: number; readonly careless: number }
  let seen: { readonly authorization: boolean; readonly traceparent: unknown }[] = []

  beforeAll(async () => {
    const issuer = resources.use(await startIssuer())
    token = (claims = {}) => issuer.token(claims as JWTPayload)
    const { privateKey } = await generateKeyPair('ES256')
    const header = { alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt' }
    const claims = { iss: issuer.issuer, sub: 'alice', aud: 'user-service' }
    foreign = await new SignJWT(claims).setProtectedHeader(header).setExpirationTime('5m').sign(privateKey)

    const relay = createTokenRelay({
      issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
      ingress: { mode: 'off' },
      telemetry: { log: 'off' },
    })
    // Not the gate, which would also be in front of the issuer and the witness, servers of this process.
    const service = createServer(
      express()
        .use(authenticate())
        .use((_, response) => response.end(getActiveCredential()?.subject)),
    )
    const port = await listen(service)
    resources.use({ [Symbol.asyncDispose]: () => close(service).then(() => relay.shutdown()) })
    const witness = createServer(({ headers }, response) => {
      seen.push({ authorization: headers.authorization !== undefined, traceparent: headers['traceparent'] })
      response.end()
    })
    resources.use({ [Symbol.asyncDispose]: () => close(witness) })
    const witnessPort = await listen(witness)

    const [page = 0, careless = 0] = await freePorts(2)
    ports = { page, careless }
    const issuerPort = Number(new URL(issuer.issuer).port)
    resources.use(await startEnvoy(configurationOf(issuer.issuer, issuerPort, page, port, witnessPort), page))
    const defaults = configurationOf(issuer.issuer, issuerPort, careless, port, witnessPort)
    const provider = providerOf(defaults)
    delete provider['forward']
    delete provider['clock_skew_seconds']
    resources.use(await startEnvoy(defaults, careless))
  })
  afterAll(() => resources[Symbol.asyncDispose]())

  async function ask(port: number, text?: string, path = '/'): Promise<number> {
    const headers = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      ...(text === undefined ? {} : { authorization: `Bearer ${text}` }),
    }
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
    await response.text()
    return response.status
  }

  /** What Envoy passes on to a server without the relay. */
  async function passedOn(port: number, text?: string): Promise<(typeof seen)[number] | undefined> {
    seen = []
    await ask(port, text, '/witness')
    return seen[0]
  }

  const seconds = (): number => Math.floor(Date.now() / 1000)
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

  it('is accepted by Envoy as it stands, and a misspelt member is not', () => {
    expect(complaintsOfEnvoy(textOf('envoy.yaml'))).toBe('')
    expect(complaintsOfEnvoy(textOf('envoy.yaml').replace('forward:', 'forwards:'))).toContain('forwards')
  })

  it('passes a good token and the trace on, with forward, and the service answers', async () => {
    expect(await passedOn(ports.page, await token())).toEqual({ authorization: true, traceparent })
    expect(await ask(ports.page, await token())).toBe(200)
  })

  it('removes the token without forward, and the service refuses', async () => {
    expect(await passedOn(ports.careless, await token())).toEqual({ authorization: false, traceparent })
    expect(await ask(ports.careless, await token())).toBe(401)
  })

  it('refuses what is no token of the issuer for the service', async () => {
    const texts = [undefined, await token({ aud: 'other' }), await token({ iss: 'https://other.example.com' }), foreign]
    const statuses = []
    for (const text of texts) {
      expect(await passedOn(ports.page, text)).toBeUndefined()
      statuses.push(await ask(ports.page, text))
    }
    expect(statuses).toEqual([401, 403, 401, 401])
  })

  it('passes on what the relay refuses: an ID token, a token without exp', async () => {
    for (const claims of [{ nonce: 'n-1' }, { exp: undefined }]) {
      expect(await passedOn(ports.page, await token(claims))).toMatchObject({ authorization: true })
      expect(await ask(ports.page, await token(claims))).toBe(401)
    }
  })

  it('passes on what has expired for 30 seconds, unless clock_skew_seconds says otherwise', async () => {
    const expired = await token({ iat: seconds() - 600, exp: seconds() - 30 })
    expect(await passedOn(ports.careless, expired)).toBeDefined()
    expect(await passedOn(ports.page, expired)).toBeUndefined()
  })
})

type Configuration = ReturnType<typeof configurationOf>

/** The page’s configuration, with servers of this test in place of the example hosts. */
function configurationOf(issuer: string, issuerPort: number, port: number, servicePort: number, witnessPort: number) {
  const text = textOf('envoy.yaml')
    .replaceAll('https://id.example.com', issuer)
    .replace('address: 0.0.0.0, port_value: 10000', `address: 127.0.0.1, port_value: ${port}`)
    .replace('address: localhost, port_value: 8080', `address: 127.0.0.1, port_value: ${servicePort}`)
    .replace('address: id.example.com, port_value: 443', `address: 127.0.0.1, port_value: ${issuerPort}`)
  const configuration = parse(text)
  const [service, id] = configuration.static_resources.clusters
  delete id.transport_socket
  const witness = JSON.parse(JSON.stringify(service).replaceAll('user-service', 'witness'))
  witness.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = witnessPort
  configuration.static_resources.clusters.push(witness)
  const manager = configuration.static_resources.listeners[0].filter_chains[0].filters[0].typed_config
  const [host] = manager.route_config.virtual_hosts
  host.routes.unshift({ match: { prefix: '/witness' }, route: { cluster: 'witness' } })
  return configuration as object & {
    readonly static_resources: {
      readonly listeners: readonly [{ readonly filter_chains: readonly [{ readonly filters: readonly [Filter] }] }]
    }
  }
}

interface Filter {
  readonly typed_config: {
    readonly http_filters: readonly [
      { readonly typed_config: { readonly providers: Record<'id', Record<string, unknown>> } },
    ]
  }
}

function providerOf({ static_resources }: Configuration): Record<string, unknown> {
  return static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.providers
    .id
}

describe('istio.yaml', () => {
  const documents = parseAllDocuments(textOf('istio.yaml')).map(
    (document) => document.toJS() as { kind: string; apiVersion: string; spec: Record<string, unknown> },
  )
  let schemas: ReadonlyMap<string, object>
  beforeAll(() => {
    schemas = istioSchemas()
  })

  it('has the kinds that the page speaks of', () => {
    expect(documents.map(({ kind }) => kind)).toEqual(['RequestAuthentication', 'AuthorizationPolicy'])
  })

  it.each(
    documents.map((document) => [document.kind, document] as const),
  )('%s is as Istio’s API wants it', (kind, document) => {
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schemas.get(kind) ?? { not: {} })
    expect([validate(document), validate.errors]).toEqual([true, null])
    expect(validate({ ...document, spec: { ...document.spec, selector: 'user-service' } })).toBe(false)
  })
})

/** The OpenAPI schemas of the custom resources `security.istio.io/v1`, by their kinds. */
function istioSchemas(): ReadonlyMap<string, object> {
  const { status, stdout, stderr } = spawnSync('go', ['mod', 'download', '-json', 'istio.io/api@v1.32.0'], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`Go is needed here: ${stderr}`)
  const { Dir } = JSON.parse(stdout) as { readonly Dir: string }
  const file = readFileSync(join(Dir, 'kubernetes', 'customresourcedefinitions.gen.yaml'), 'utf8')
  const schemas = parseAllDocuments(file).flatMap((document) => {
    const { spec } = (document.toJS() ?? {}) as { readonly spec?: CustomResource }
    if (spec?.group !== 'security.istio.io') return []
    const schema = spec.versions.find(({ name }) => name === 'v1')?.schema.openAPIV3Schema
    return schema === undefined ? [] : [[spec.names.kind, schema] as const]
  })
  return new Map(schemas)
}

interface CustomResource {
  readonly group: string
  readonly names: { readonly kind: string }
  readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: object } }[]
}
