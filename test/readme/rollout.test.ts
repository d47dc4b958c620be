/** The page about the rollout: its variables are accepted, and its queries use metrics that exist. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { describe, expect, it } from 'vitest'
import { optionsFromEnvironment } from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import { TOKEN_ERRORS } from '../../src/token/errors.ts'
import { codes, column, readBlocks, readDocument, readTable } from './markdown.ts'

const page = readDocument('docs/rollout.md')
const blocks = readBlocks(page)
const textsOf = (language: string): readonly string[] =>
  blocks.filter((block) => block.language === language).map(({ text }) => text)
const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0 || process.env['CI'] !== undefined

it('has no code of a kind that is not checked here', () => {
  expect([...new Set(blocks.map(({ language }) => language))].toSorted()).toEqual(['promql', 'sh'])
})

describe('its variables', () => {
  const BASE = { TOKEN_RELAY_ISSUER: 'https://id.example.com', TOKEN_RELAY_AUDIENCE: 'user-service' }

  it.each(textsOf('sh'))('are accepted: %s', (text) => {
    const given = Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    )
    const folder = mkdtempSync(join(tmpdir(), 'rollout-'))
    const file = given['TOKEN_RELAY_CONFIG_FILE']
    if (file !== undefined) {
      given['TOKEN_RELAY_CONFIG_FILE'] = join(folder, file)
      writeFileSync(join(folder, file), JSON.stringify({ issuers: [{ issuer: 'https://id.example.com' }] }))
    }
    const { ingress, issuers } = parseOptions(optionsFromEnvironment({ ...(file === undefined ? BASE : {}), ...given }))
    rmSync(folder, { recursive: true })
    expect(issuers).toHaveLength(1)
    expect(ingress.mode).toBe(given['TOKEN_RELAY_INGRESS_MODE'] ?? 'require')
  })

  it('go from report to optional to require', () => {
    const modes = textsOf('sh').flatMap((text) => [...text.matchAll(/INGRESS_MODE=(\w+)/g)].map(([, mode]) => mode))
    expect(modes).toEqual(['report', 'optional', 'require', 'optional'])
  })
})

describe('its queries', () => {
  const readme = readDocument('README.md')
  const exported = (name: string): string => name.replaceAll('.', '_')
  const metrics = column(readTable(readme, 'Metric'), 'Metric').map((name) => `${exported(name)}_total`)
  const attributes = column(readTable(readme, 'Attribute'), 'Attribute').map(exported)

  it.each(textsOf('promql'))('use metrics and attributes of the README: %s', (text) => {
    const names = [...text.matchAll(/\b(auth_\w+|error_type)\b/g)].map(([, name]) => name ?? '')
    expect(names.filter((name) => ![...metrics, ...attributes].includes(name))).toEqual([])
    expect(names.some((name) => metrics.includes(name))).toBe(true)
  })

  it.runIf(HAS_PROMTOOL)('are accepted by Prometheus', () => {
    const rules = textsOf('promql').map((expr, i) => ({ record: `rollout:${i}`, expr }))
    const folder = mkdtempSync(join(tmpdir(), 'rollout-'))
    const file = join(folder, 'rules.yaml')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'rollout', rules }] }))
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining(`${rules.length} rules found`)])
    rmSync(folder, { recursive: true })
  })

  it('the reasons that it explains are codes of errors', () => {
    const named = readTable(page, '`error_type`').flatMap((row) => codes(row['`error_type`'] ?? ''))
    expect(named.filter((code) => !(code in TOKEN_ERRORS))).toEqual([])
    expect(named.length).toBeGreaterThan(8)
  })
})
