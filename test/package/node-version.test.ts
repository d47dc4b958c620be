/** On a Node.js that is too old, one line says which version is needed, and nothing else is loaded. */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as newer from '../../src/base/newer-functions.ts'
import { readSources } from '../architecture/source.ts'
import { readDocument } from '../docs/markdown.ts'
import { createScratch, PACKED, quietEnvironment } from './scratch.ts'

const { engines } = JSON.parse(readDocument('package.json')) as { readonly engines: { readonly node: string } }
const NEEDED = engines.node.replace('>=', '')

const scratch = createScratch()
afterAll(() => scratch[Symbol.dispose]())
beforeAll(() => {
  const pretend = `
    const node = process.env.PRETENDED
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node }, configurable: true })
    Object.defineProperty(process, 'version', { value: 'v' + node, configurable: true })`
  const watch = `
    process.on('exit', () => {
      const isLoaded = Object.values(require.cache).some(({ id, loaded }) => loaded && id.includes('@opentelemetry'))
      process.stdout.write(isLoaded ? 'OpenTelemetry is loaded' : 'nothing is loaded')
    })`
  scratch.write({
    'pretend.cjs': pretend,
    'watch.cjs': watch,
    'main.cjs': "require('otel-token-relay')\nconsole.log('loaded')",
    'main.mjs': "import 'otel-token-relay'\nconsole.log('loaded')",
    'nothing.cjs': "console.log('loaded')",
  })
})

interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly status: number | null
}

function run(node: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
  const { stdout, stderr, status } = spawnSync(node, [...args], {
    cwd: scratch.folder,
    env: quietEnvironment(env),
    encoding: 'utf8',
  })
  return { stdout, stderr, status }
}

const WAYS = [
  ['require', ['main.cjs']],
  ['import', ['main.mjs']],
  ['--require register', ['--require', 'otel-token-relay/register', 'nothing.cjs']],
  ['--import register', ['--import', 'otel-token-relay/register', 'nothing.cjs']],
] as const

function lineFor(version: string): string {
  return `otel-token-relay: needs Node.js ${NEEDED.replace(/\.0$/, '')} or later; this is v${version}\n`
}

describe.each(WAYS)('%s', (_, args) => {
  it.each(['20.20.2', '22.14.0'])('says so on %s', (version) => {
    const { stdout, stderr, status } = run(process.execPath, ['--require', './pretend.cjs', ...args], {
      PRETENDED: version,
    })
    expect([stdout, stderr, status]).toEqual(['', lineFor(version), 1])
  })

  it.each([NEEDED, '23.0.0'])('loads on %s', (version) => {
    const { stdout, status } = run(process.execPath, ['--require', './pretend.cjs', ...args], {
      PRETENDED: version,
      TOKEN_RELAY_ISSUER: 'https://id.example',
      TOKEN_RELAY_AUDIENCE: 'user-service',
    })
    expect([stdout, status]).toEqual(['loaded\n', 0])
  })
})

it.each([
  ['22.14.0', 'nothing is loaded'],
  [NEEDED, 'OpenTelemetry is loaded'],
])('on %s: %s', (version, expected) => {
  const preloads = ['./pretend.cjs', './watch.cjs', 'otel-token-relay/register'].flatMap((name) => ['--require', name])
  const { stdout } = run(process.execPath, [...preloads, 'main.cjs'], {
    PRETENDED: version,
    TOKEN_RELAY_ISSUER: 'https://id.example',
    TOKEN_RELAY_AUDIENCE: 'user-service',
  })
  expect(stdout.replace('loaded\n', '')).toBe(expected)
})

/** Names that Node.js 18 and 20 lack: a module that imports one cannot be linked there, and nothing says why. */
const NEWER =
  /^import (?:[\w$]+, )?\{[^}]*\b(?:getCallSites|hash|performServerHandshake|registerHooks)\b[^}]*\} from "node:/m

it('no module imports by name what older versions lack', () => {
  const modules = readdirSync(join(PACKED, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .filter((file) => NEWER.test(readFileSync(join(PACKED, 'dist', file), 'utf8')))
  expect(modules).toEqual([])
  expect(NEWER.test('import util, { getCallSites as a, inspect } from "node:util";')).toBe(true)
})

/** A Node.js of the machine that is too old; the first one outside of `node_modules`. */
const old = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .map((folder) => join(folder, 'node'))
  .filter((node) => existsSync(node))
  .map((node) => ({ node, version: spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1) }))
  .find(({ version }) => version.localeCompare(NEEDED, undefined, { numeric: true }) < 0)

describe.skipIf(old === undefined)('with the old Node.js of this machine', () => {
  it.each(WAYS)('%s says so', (_, args) => {
    const { stdout, stderr, status } = run(old?.node ?? '', args)
    expect([stdout, stderr, status]).toEqual(['', lineFor(old?.version ?? ''), 1])
  })
})

it.each(Object.keys(newer))('no file imports %s by name from Node.js: an old one could not link it', (name) => {
  const byName = new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from 'node:`)
  expect(
    readSources()
      .filter(({ text }) => byName.test(text))
      .map(({ path }) => path),
  ).toEqual([])
})
