/** Rules and dashboard of deploy: they fire and do not fire as they say, on metrics that exist, and the runbook knows them. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { describe, expect, it } from 'vitest'
import type { Row } from '../docs/markdown.ts'
import { column, findTable, ROOT, readDocument } from '../docs/markdown.ts'

const FOLDER = 'deploy/prometheus'
const RULES = ['recording', 'alerts'].map((name) => `${FOLDER}/${name}.rules.yaml`)
const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0 || process.env['CI'] !== undefined

const texts = RULES.map(readDocument)
const all = (pattern: RegExp, text = texts.join('\n')): readonly string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '')
const alerts = all(/^ {6}- alert: (\w+)$/gm)
const runbook = readDocument('docs/guides/runbook.md')
const attributes = column(findTable('Attribute', 'Type'), 'Attribute').map((name) => name.replaceAll('.', '_'))
const metrics = findTable('Metric', 'Kind').flatMap(exported)

/** What OpenTelemetry's exporter makes of a metric of the table. */
function exported(row: Row): readonly string[] {
  const [name = ''] = column([row], 'Metric')
  const base = name.replaceAll('.', '_')
  const kind = row['Kind'] ?? ''
  const unit = kind.includes('seconds') ? '_seconds' : ''
  if (kind.startsWith('counter')) return [`${base}${unit}_total`]
  if (kind.startsWith('histogram')) return ['bucket', 'count', 'sum'].map((part) => `${base}${unit}_${part}`)
  return [`${base}${unit}`]
}

/** `promtool` says what is wrong on one of the two. */
function promtool(...args: readonly string[]): readonly [number | null, string] {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: ROOT, encoding: 'utf8' })
  return [status, stdout + stderr]
}

describe.runIf(HAS_PROMTOOL)('promtool', () => {
  it.each(RULES)('%s is well-formed', (file) => {
    expect(promtool('check', 'rules', file)).toEqual([0, expect.stringContaining('SUCCESS')])
  })

  it('each alert fires when it should, and not just below its threshold', () => {
    expect(promtool('test', 'rules', `${FOLDER}/tests/alerts.test.yaml`)).toEqual([
      0,
      expect.stringContaining('SUCCESS'),
    ])
  })
})

const recorded = all(/^ {6}- record: (\S+)$/gm)

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
}
const { panels } = JSON.parse(readDocument('deploy/grafana/dashboard.json')) as { readonly panels: readonly Panel[] }

describe('the dashboard', () => {
  it.each(panels)('$title uses metrics and attributes that exist', ({ targets: [target] }) => {
    const { expr = '', legendFormat = '' } = target ?? {}
    const names = all(/(?<![\w:])((?:auth|resilience)_\w+|job\w*:\w+:\w+)/g, expr.replaceAll(/"[^"]*"/g, '""'))
    const labels = all(/\{\{(\w+)\}\}/g, legendFormat)
    expect(
      [...names, ...labels].filter((name) => ![...metrics, ...recorded, ...attributes, 'job'].includes(name)),
    ).toEqual([])
    expect(names.some((name) => [...metrics, ...recorded].includes(name))).toBe(true)
  })

  it.runIf(HAS_PROMTOOL)('is accepted by Prometheus', () => {
    const rules = panels
      .flatMap(({ targets }) => targets)
      .map(({ expr }, i) => ({
        record: `panel:${i}`,
        expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.*'),
      }))
    const folder = mkdtempSync(join(tmpdir(), 'dashboard-'))
    const file = join(folder, 'rules.yaml')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    expect(promtool('check', 'rules', file)).toEqual([0, expect.stringContaining(`${panels.length} rules found`)])
    rmSync(folder, { recursive: true })
  })
})

describe('the rules', () => {
  it('use only metrics and attributes of the tables', () => {
    const used = all(/(?<![\w:])((?:auth|resilience)_\w+?)(?=[{[) ]|$)/gm).filter((name) => !attributes.includes(name))
    expect(used.filter((name) => !metrics.includes(name))).toEqual([])
    expect(used.length).toBeGreaterThan(20)
    const labels = all(/[{,](\w+)(?:=~?|!~|!=)"/g).filter((name) => !['job', 'le'].includes(name))
    expect(labels.filter((name) => !attributes.includes(name))).toEqual([])
    expect(labels.length).toBeGreaterThan(10)
  })

  it('each have a test that fires and one that does not', () => {
    const tested = all(/^ {2}- name: (.+)$/gm, readDocument(`${FOLDER}/tests/alerts.test.yaml`))
    expect(tested).toEqual(expect.arrayContaining(alerts.flatMap((name) => [`${name} fires`, `${name} does not fire`])))
    expect(tested).toHaveLength(2 * alerts.length)
  })

  it('use only ratios that are recorded', () => {
    const used = all(/\b(job\w*:\w+:\w+)/g)
    expect(used.filter((name) => !recorded.includes(name))).toEqual([])
  })

  it('each link to an entry of the runbook, which has no others', () => {
    expect(all(/^## (.+)$/gm, runbook).toSorted()).toEqual(alerts.toSorted())
    expect(all(/runbook_url: \S+#(\w+)$/gm)).toEqual(alerts.map((name) => name.toLowerCase()))
    for (const entry of runbook.split('\n## ').slice(1)) {
      for (const part of ['**Means:**', '**Look:**', '**Do:**']) expect(entry).toContain(part)
    }
  })
})
