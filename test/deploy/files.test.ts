/** What stands in deploy/ is well-formed, pinned, and open to nobody but this machine. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ROOT, readDocument } from '../readme/markdown.ts'

interface ComposedService {
  readonly image: string
  readonly privileged?: boolean
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}
const { services } = parse(readDocument('deploy/compose.yaml')) as {
  readonly services: Readonly<Record<string, ComposedService>>
}

describe.each(Object.entries(services))('compose.yaml: %s', (_, service) => {
  it('is an image of one version, without privileges', () => {
    expect(service.image).toMatch(/:v?\d+[\w.-]*$/)
    expect(service.privileged).toBeUndefined()
  })

  it('is reached from this machine only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
  })

  it('mounts what there is', () => {
    const mounted = (service.volumes ?? [])
      .map((volume) => volume.split(':')[0] ?? '')
      .filter((path) => path.startsWith('.'))
    expect(mounted.filter((path) => !existsSync(join(ROOT, 'deploy', path)))).toEqual([])
  })

  it('waits for services that there are, and calls no others', () => {
    const hosts = Object.values(service.environment ?? {}).flatMap((text) => text.match(/(?<=:\/\/)[\w-]+/g) ?? [])
    expect([...(service.depends_on ?? []), ...hosts].filter((name) => !(name in services))).toEqual([])
  })
})

interface Collector {
  readonly receivers: object
  readonly processors: object
  readonly exporters: object
  readonly service: {
    readonly pipelines: Readonly<Record<string, Readonly<Record<'receivers' | 'processors' | 'exporters', string[]>>>>
  }
}

describe('the configuration of the collector', () => {
  const collector = parse(readDocument('deploy/collector/config.yaml')) as Collector

  it.each(
    Object.entries(collector.service.pipelines),
  )('%s go through the redaction, and through parts that there are', (_, pipeline) => {
    expect(pipeline.processors).toContain('redaction')
    for (const kind of ['receivers', 'processors', 'exporters'] as const)
      expect(pipeline[kind].filter((name) => !(name in collector[kind]))).toEqual([])
  })
})

it.each([
  'deploy/prometheus/prometheus.yaml',
  'deploy/prometheus/alertmanager.yaml',
  'deploy/grafana/provisioning/datasources/prometheus.yaml',
  'deploy/grafana/provisioning/dashboards/files.yaml',
])('%s is well-formed', (file) => {
  expect(parse(readDocument(file))).toBeTypeOf('object')
})
