/** The queries of all pages use metrics that exist, and the page about the rollout goes from one mode to the next. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { describe, expect, it } from 'vitest'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import { BLOCKS, isCommands } from './blocks.ts'
import { codes, column, findTable, readDocument, readTable } from './markdown.ts'

const page = readDocument('docs/start/rollout.md')
const queries = BLOCKS.filter(({ language }) => language === 'promql').map(({ text }) => text)
const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0 || process.env['CI'] !== undefined

it('goes from report to optional to require', () => {
  const commands = BLOCKS.filter((block) => block.page === 'docs/start/rollout.md' && isCommands(block))
  const modes = commands.flatMap(({ text }) => [...text.matchAll(/INGRESS_MODE=(\w+)/g)].map(([, mode]) => mode))
  expect(modes).toEqual(['report', 'optional', 'require', 'optional'])
})

describe('the queries', () => {
  const exported = (name: string): string => name.replaceAll('.', '_')
  const metrics = column(findTable('Metric', 'Kind'), 'Metric').map((name) => `${exported(name)}_total`)
  const attributes = column(findTable('Attribute', 'Type'), 'Attribute').map(exported)

  it.each(queries)('use metrics and attributes that exist: %s', (text) => {
    const names = [...text.matchAll(/\b(auth_\w+|error_type)\b/g)].map(([, name]) => name ?? '')
    expect(names.filter((name) => ![...metrics, ...attributes].includes(name))).toEqual([])
    expect(names.some((name) => metrics.includes(name))).toBe(true)
  })

  it.runIf(HAS_PROMTOOL)('are accepted by Prometheus', () => {
    const rules = queries.map((expr, i) => ({ record: `rollout:${i}`, expr }))
    const folder = mkdtempSync(join(tmpdir(), 'rollout-'))
    const file = join(folder, 'rules.yaml')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'rollout', rules }] }))
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining(`${rules.length} rules found`)])
    rmSync(folder, { recursive: true })
  })

  it('the reasons that the page explains are codes of errors', () => {
    const named = readTable(page, '`error_type`').flatMap((row) => codes(row['`error_type`'] ?? ''))
    expect(named.filter((code) => !(code in TOKEN_ERRORS))).toEqual([])
    expect(named.length).toBeGreaterThan(8)
  })
})
