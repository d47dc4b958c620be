/** Bad values of the options that say how requests are let in and sent on. */

import { expect, it } from 'vitest'
import { parseOptions } from '../../src/config/options.ts'

const MARKER = 'm4rk3r'
const METADATA = 'expected an https URL, or http on the loopback interface'
const RESOURCE = 'required: the https URL of this service, or http on the loopback interface, without a query'
const PATH = 'expected a path that starts with / and has no query, escape, parameter, dot segment or empty segment'
const FIELD = 'expected the name of a header field that holds a token and has no other meaning'
const OTHER_FIELDS = [
  ...['host', 'Cookie', 'content-length', 'Content-Type', 'transfer-encoding', 'connection', 'upgrade', ':path'],
  ...['proxy-authorization', 'set-cookie', 'origin', 'referer', 'user-agent', 'traceparent', 'baggage', 'b3'],
  ...['x-forwarded-for', 'x-forwarded-host', 'forwarded', 'sec-fetch-site', 'access-control-request-method', 'te'],
  ...['if-none-match', 'accept-encoding', 'expect', 'keep-alive', 'x-http-method-override', 'dpop', 'tracestate'],
]
const ORIGIN = 'expected an origin such as https://app.example: no path, no * and no null'
const CORS = { origins: ['https://app.example', 'http://localhost:3000'] }
const BYTES = 'expected 256 to 1048576 bytes'

const GOOD = { issuers: [{ issuer: 'https://id.example', audience: 'a' }] }
const ingress = (value: object): object => ({ ...GOOD, ingress: value })
const rule = (value: object): object => ({ ...GOOD, destinations: [{ to: 'https://a.example', ...value }] })
const resource = (value: unknown): object => ingress({ protectedResource: { resource: value } })

it.each<readonly [string, string, object]>([
  ['ingress.resourceMetadata', METADATA, ingress({ resourceMetadata: `http://${MARKER}` })],
  ['ingress.resourceMetadata', METADATA, ingress({ resourceMetadata: MARKER })],
  ['ingress.resourceMetadata', METADATA, ingress({ resourceMetadata: `https://${MARKER}@a.example` })],
  ['ingress.protectedResource', 'expected an object', ingress({ protectedResource: MARKER })],
  ['ingress.protectedResource.resource', RESOURCE, ingress({ protectedResource: {} })],
  ['ingress.protectedResource.resource', RESOURCE, resource(`http://${MARKER}.example`)],
  ['ingress.protectedResource.resource', RESOURCE, resource(MARKER)],
  ['ingress.protectedResource.resource', RESOURCE, resource(`https://a.example/#${MARKER}`)],
  ['ingress.protectedResource.resource', RESOURCE, resource(`https://a.example/?${MARKER}`)],
  ['ingress.protectedResource.resource', RESOURCE, resource(`https://${MARKER}@a.example/`)],
  [
    'ingress.protectedResource.scopesSupported[0]',
    'expected a list of scopes',
    ingress({ protectedResource: { resource: 'https://a.example', scopesSupported: [`"${MARKER}`] } }),
  ],
  [
    'ingress.protectedResource.scopes',
    'is not an option',
    ingress({ protectedResource: { resource: 'https://a.example', scopes: [MARKER] } }),
  ],
  ['ingress.allowPreflight', 'expected true or false', ingress({ allowPreflight: MARKER })],
  ['ingress.allowPreflight', 'expected true or false', ingress({ allowPreflight: 1 })],
  ['ingress.mode', 'expected require, optional, report or off', ingress({ mode: MARKER })],
  ['ingress.foreignTokens', 'expected refuse or ignore', ingress({ foreignTokens: MARKER })],
  ['ingress.foreignTokens', 'expected refuse or ignore', ingress({ foreignTokens: true })],
  ...['', `a ${MARKER}`, `${MARKER}:`, `${MARKER}\r\nx`, `${MARKER}-bin`, 'x'.repeat(129), ...OTHER_FIELDS].map(
    (header) => ['ingress.header', FIELD, ingress({ header })] as const,
  ),
  ['ingress.header', FIELD, ingress({ header: [MARKER] })],
  ['ingress.readyPath', PATH, ingress({ readyPath: MARKER })],
  ['ingress.readyPath', PATH, ingress({ readyPath: `/${MARKER}?x` })],
  ['ingress.readyPath', PATH, ingress({ readyPath: `/${MARKER}/../ready` })],
  ['ingress.readyPath', 'expected a path such as /health', ingress({ readyPath: true })],
  ['ingress.cors', 'expected an object', ingress({ cors: MARKER })],
  ['ingress.cors.origins', 'required: a list of origins', ingress({ cors: {} })],
  ['ingress.cors.origins', 'required: a list of origins', ingress({ cors: { origins: [] } })],
  ['ingress.cors.origins', 'required: a list of origins', ingress({ cors: { origins: '*' } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: ['*'] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: ['null'] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: [MARKER] } })],
  ['ingress.cors.origins[1]', ORIGIN, ingress({ cors: { origins: ['https://a.example', `https://*.${MARKER}`] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: [`https://${MARKER}.example/`] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: [`https://${MARKER}.example:443`] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: [`https://${MARKER}.Example`] } })],
  ['ingress.cors.origins[0]', ORIGIN, ingress({ cors: { origins: [`file:///${MARKER}`] } })],
  ['ingress.cors.allowCredentials', 'expected true or false', ingress({ cors: { ...CORS, allowCredentials: 1 } })],
  ['egress.mode', 'expected enforce or report', { ...GOOD, egress: { mode: MARKER } }],
  ['egress.detector', 'expected off or warn', { ...GOOD, egress: { detector: MARKER } }],
  ['egress', 'expected an object', { ...GOOD, egress: MARKER }],
  ['destinations[0].detached', 'expected withhold or allow', rule({ detached: MARKER })],
  ['destinations[0].detached', 'expected withhold or allow', rule({ detached: true })],
  ['destinations[0].maxHeaderBytes', BYTES, rule({ maxHeaderBytes: 255 })],
  ['destinations[0].maxHeaderBytes', BYTES, rule({ maxHeaderBytes: 1_048_577 })],
  ['destinations[0].maxHeaderBytes', BYTES, rule({ maxHeaderBytes: 1_000.5 })],
  ['destinations[0].maxHeaderBytes', BYTES, rule({ maxHeaderBytes: '16384' })],
])('%s: %s', (path, problem, options) => {
  let error: unknown
  try {
    parseOptions(options)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toMatchObject({ code: 'ERR_RELAY_OPTION', name: 'TypeError', path, problem })
  expect(String(error)).not.toContain(MARKER)
})

it.each([
  ['Cf-Access-Jwt-Assertion', 'cf-access-jwt-assertion'],
  ['X-Goog-IAP-JWT-Assertion', 'x-goog-iap-jwt-assertion'],
  ['X-Forwarded-Access-Token', 'x-forwarded-access-token'],
  ['X-Amzn-Oidc-Data', 'x-amzn-oidc-data'],
  ['Authorization', 'authorization'],
])('ingress.header: %s is accepted in any case', (header, name) => {
  expect(parseOptions(ingress({ header })).ingress.header).toBe(name)
})

it('nothing is added by a polluted Object.prototype [H15]', () => {
  const prototype = Object.prototype as unknown as Record<string, unknown>
  const names = ['scopesSupported', 'allowPreflight', 'detached', 'maxHeaderBytes', 'protectedResource', 'egress']
  const expected = parseOptions({ ...rule({}), ...resource('https://a.example') })
  for (const name of names) prototype[name] = name === 'allowPreflight' ? true : { mode: 'report' }
  try {
    const settings = parseOptions({ ...rule({}), ...resource('https://a.example') })
    expect(settings.ingress.protectedResource?.scopesSupported).toBeUndefined()
    expect(settings.ingress.allowPreflight).toBe(expected.ingress.allowPreflight)
    expect(settings.egress).toEqual(expected.egress)
    expect(settings.rules[0]?.detached).toBe('withhold')
    expect(settings.rules[0]?.maxHeaderBytes).toBe(16_384)
  } finally {
    for (const name of names) delete prototype[name]
  }
})
