/** Results as JSON, with when, of what and where they were measured; the tables of the README are made of them. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

const FOLDER = join(import.meta.dirname, '..', 'results')

/** Where and of what something was measured. Says nothing that would tell the machine from others of its kind. */
export interface Circumstances {
  readonly date: string
  /** Of the working tree; with a `+` where it had changes. */
  readonly commit: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly versions: Readonly<Record<string, string>>
}

const PACKAGES = ['@opentelemetry/api', '@opentelemetry/sdk-node', 'jose', 'fast-jwt', 'express-oauth2-jwt-bearer']

function circumstances(): Circumstances {
  const git = (...args: string[]): string => spawnSync('git', args, { encoding: 'utf8' }).stdout.trim()
  const isChanged = git('status', '--porcelain', '--', 'src', 'package-lock.json') !== ''
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+' : ''}`,
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()}`,
    versions: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
  }
}

function versionOf(name: string): string {
  const manifest = join(import.meta.dirname, '..', '..', 'node_modules', name, 'package.json')
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version
}

/** Writes `benchmarks/results/NAME.json`, and the README anew. */
export async function save(name: string, results: object): Promise<void> {
  const text = JSON.stringify({ ...circumstances(), ...results }, undefined, 2)
  writeFileSync(join(FOLDER, `${name}.json`), `${text}\n`)
  const { writeReadme } = await import('./readme.ts')
  writeReadme(readResults())
}

export type Results = ReadonlyMap<string, Circumstances & Readonly<Record<string, unknown>>>

export function readResults(): Results {
  mkdirSync(FOLDER, { recursive: true })
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'))
  return new Map(
    files.map((file) => {
      const results = JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Circumstances & Record<string, unknown>
      return [file.slice(0, -'.json'.length), results]
    }),
  )
}
