/** The files of deploy/ are well-formed, name exact versions, and open ports on the loopback interface only. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ROOT, readDocument } from '../docs/markdown.ts'

/** What the first group of `pattern` matches in `text`. */
const all = (pattern: RegExp, text: string): readonly string[] =>
  [...text.matchAll(pattern)].map(([, found = '']) => found)

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
  it('is an image of an exact version, without privileges', () => {
    expect(service.image).toMatch(/:v?\d+[\w.-]*$/)
    expect(service.privileged).toBeUndefined()
  })

  it('publishes its ports on the loopback interface only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
  })

  it('mounts files that exist', () => {
    const mounted = (service.volumes ?? [])
      .map((volume) => volume.split(':')[0] ?? '')
      .filter((path) => path.startsWith('.'))
    expect(mounted.filter((path) => !existsSync(join(ROOT, 'deploy', path)))).toEqual([])
  })

  it('waits for and calls only services of the same file', () => {
    const hosts = Object.values(service.environment ?? {}).flatMap((text) => text.match(/(?<=:\/\/)[\w-]+/g) ?? [])
    expect([...(service.depends_on ?? []), ...hosts].filter((name) => !(name in services))).toEqual([])
  })
})

const manifest = JSON.parse(readDocument('package.json')) as {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

describe('images', () => {
  const dockerfile = readDocument('deploy/Dockerfile')
  const composed = Object.values(services).map(({ image }) => image)
  const built = all(/^FROM (\S+)/gm, dockerfile)
  const deployed = all(/^ +image: (\S+)$/gm, readDocument('deploy/kubernetes/services.yaml'))

  it('of Node.js have the version that the tests run with', () => {
    const ofNode = [...composed, ...built].filter((image) => image.startsWith('node:'))
    expect(ofNode).toHaveLength(3)
    expect(new Set(ofNode)).toEqual(new Set([`node:${manifest.devDependencies['node']}-slim`]))
  })

  it('of the collector has the version that the tests build', () => {
    const [version = ''] = all(/^const VERSION = 'v(.+)'$/gm, readDocument('test/interop/collector.ts'))
    expect(services['collector']?.image).toBe(`otel/opentelemetry-collector-contrib:${version}`)
  })

  it('of the services are those that the Dockerfile builds', () => {
    const [tag] = all(/docker build .* -t (\S+) \.$/gm, dockerfile)
    expect(tag).toBe(`otel-token-relay-demo:${manifest.version}`)
    expect(new Set(deployed)).toEqual(new Set([tag]))
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
  )('sends %s through the redaction, and through components that it configures', (_, pipeline) => {
    expect(pipeline.processors).toContain('redaction')
    for (const kind of ['receivers', 'processors', 'exporters'] as const)
      expect(pipeline[kind].filter((name) => !(name in collector[kind]))).toEqual([])
  })
})

/** Host and port of each URL or target in `text` that names a service by one word, such as `alertmanager:9093`. */
const targetsIn = (text: string): readonly string[] => text.match(/(?<=\/\/|')[a-z]+:\d+(?=['\s])/g) ?? []

describe('the configuration of Prometheus', () => {
  const text = readDocument('deploy/prometheus/prometheus.yaml')
  const parsed = parse(text) as {
    readonly rule_files: readonly string[]
    readonly scrape_configs: readonly {
      readonly static_configs: readonly { readonly targets: readonly string[] }[]
    }[]
    readonly alerting: object
  }
  const { rule_files: ruleFiles, scrape_configs: scrapeConfigs, alerting } = parsed

  it('loads rule files that exist, all of them', () => {
    const existing = readdirSync(join(ROOT, 'deploy', 'prometheus')).filter((name) => name.endsWith('.rules.yaml'))
    expect(ruleFiles.toSorted()).toEqual(existing.toSorted())
  })

  it('scrapes services of compose.yaml only, where they listen', () => {
    const targets = scrapeConfigs.flatMap((job) => job.static_configs.flatMap((group) => group.targets))
    expect(targets).toEqual(['collector:8889'])
    const listening = all(/METRICS_PORT:-(\d+)/g, readDocument('deploy/collector/config.yaml'))
    expect(targets.map((target) => target.split(':')[1])).toEqual(listening)
    expect(services['prometheus']?.depends_on).toContain('collector')
  })

  it('gets metrics of the demo, which sends them where the collector takes them', () => {
    const { environment = {} } = services['demo'] ?? {}
    expect(environment).toMatchObject({ OTEL_METRICS_EXPORTER: 'otlp' })
    const [port = ''] = all(/OTLP_HTTP_PORT:-(\d+)/g, readDocument('deploy/collector/config.yaml'))
    expect(environment['OTEL_EXPORTER_OTLP_ENDPOINT']).toBe(`http://collector:${port}`)
  })

  it('sends alerts to a service of compose.yaml, on its port', () => {
    const targets = targetsIn(JSON.stringify(alerting).replaceAll('"', "'"))
    expect(targets).toEqual(['alertmanager:9093'])
    expect(services['alertmanager']?.ports).toEqual(['127.0.0.1:9093:9093'])
  })
})

it('Alertmanager routes every alert to a receiver that it configures', () => {
  const { route, receivers } = parse(readDocument('deploy/prometheus/alertmanager.yaml')) as {
    readonly route: { readonly receiver: string; readonly routes: readonly { readonly receiver: string }[] }
    readonly receivers: readonly { readonly name: string }[]
  }
  const names = receivers.map(({ name }) => name)
  const used = [route, ...route.routes].map(({ receiver }) => receiver)
  expect(used.filter((name) => !names.includes(name))).toEqual([])
})

describe('Grafana', () => {
  it('reads its numbers from the Prometheus of compose.yaml, on its port', () => {
    const text = readDocument('deploy/grafana/provisioning/datasources/prometheus.yaml')
    expect(targetsIn(text)).toEqual(['prometheus:9090'])
    expect(services['prometheus']?.ports).toEqual(['127.0.0.1:9090:9090'])
  })

  it('looks for dashboards in the folder that compose.yaml mounts one into', () => {
    const { providers } = parse(readDocument('deploy/grafana/provisioning/dashboards/files.yaml')) as {
      readonly providers: readonly { readonly options: { readonly path: string } }[]
    }
    const mounted = (services['grafana']?.volumes ?? []).map((volume) => volume.split(':')[1] ?? '')
    expect(providers).toHaveLength(1)
    expect(mounted.some((path) => path.startsWith(`${providers[0]?.options.path}/`))).toBe(true)
  })
})
