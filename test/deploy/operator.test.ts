/** The OpenTelemetry Operator's Node.js auto-instrumentation beside the relay, as the page and the file of deploy/ say. */

import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import { VARIABLE_NAMES } from '../../src/config/environment.ts'
import { ROOT, readBlocks, readDocument } from '../docs/markdown.ts'
import { startIssuer } from '../support/issuer.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'

interface Variable {
  readonly name: string
  readonly value: string
}
interface Instrumentation {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: { readonly propagators: readonly string[]; readonly nodejs: { readonly env: readonly Variable[] } }
}
interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
      readonly spec: { readonly containers: readonly { readonly env: readonly Variable[] }[] }
    }
  }
}

const blocks = readBlocks(readDocument('docs/guides/operator.md'))
const blockOf = (file: string): unknown => parse(blocks.find((block) => block.file === file)?.text ?? '')
const file = parse(readDocument('deploy/kubernetes/instrumentation.yaml')) as Instrumentation
const { spec: deployed } = blockOf('deployment.yaml') as Deployment
const valuesOf = (env: readonly Variable[]): Record<string, string> =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]))
const ours = valuesOf(file.spec.nodejs.env)

it('instrumentation.yaml of the page is that of deploy/, with variables that exist', () => {
  expect(blockOf('instrumentation.yaml')).toEqual(file)
  expect(file).toMatchObject({ apiVersion: 'opentelemetry.io/v1alpha1', kind: 'Instrumentation' })
  const names = [
    ...Object.keys(ours),
    ...deployed.template.spec.containers.flatMap(({ env }) => env.map((it) => it.name)),
  ]
  expect(names.filter((name) => name !== 'NODE_OPTIONS' && !VARIABLE_NAMES.includes(name))).toEqual([])
})

it('deployment.yaml names the instrumentation', () => {
  const { annotations } = deployed.template.metadata
  expect(annotations['instrumentation.opentelemetry.io/inject-nodejs']).toBe(file.metadata.name)
})

/** A copy of auto-instrumentations apart from the program's packages, as the Operator brings one: with API 1.9. */
const INJECTED = join(ROOT, 'test/otel-2/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js')

it.each(
  OTEL_LINES,
)('with the %s of the program, requests are verified, and events are on the spans of the Operator', async (line) => {
  await using issuer = await startIssuer()
  await using backend = await startOtlpReceiver()
  await using service = startProgram('service.cjs', {
    line,
    env: {
      ...ours,
      ...valuesOf(deployed.template.spec.containers[0]?.env ?? []),
      // The Operator appends its own to what is there.
      NODE_OPTIONS: `${ours['NODE_OPTIONS']} --require ${INJECTED}`,
      OTEL_PROPAGATORS: file.spec.propagators.join(','),
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_METRIC_EXPORT_INTERVAL: '500',
      OTEL_METRIC_EXPORT_TIMEOUT: '400',
      OTEL_EXPORTER_OTLP_ENDPOINT: backend.endpoint,
      OTEL_SERVICE_NAME: 'user-service',
      TOKEN_RELAY_ISSUER: issuer.issuer,
    },
  })
  const port = await service.report<number>('port')
  const authorization = `Bearer ${await issuer.token()}`
  const statusOf = async (headers: Record<string, string>, path = '/'): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
    await response.text()
    return response.status
  }
  expect(await statusOf({})).toBe(401)
  await expect.poll(() => statusOf({ authorization })).toBe(200)
  await expect.poll(() => statusOf({}, ours['TOKEN_RELAY_INGRESS_READY_PATH'])).toBe(200)
  const eventsOf = (): readonly string[] => backend.spans().flatMap(({ events }) => events.map(({ name }) => name))
  await expect.poll(eventsOf).toEqual(expect.arrayContaining(['auth.token.rejected', 'auth.token.verified']))
  expect(service.stderr()).toContain('OpenTelemetry SDK: found')
  // The API of the other line is newer than that of the injected SDK, and gets no meters of it.
  if (line === 'otel-2') await expect.poll(() => backend.bodies.join('')).toContain('auth.verifications')
})
