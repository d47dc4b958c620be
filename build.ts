/** Builds `dist`: declarations file by file, and the code as one module per entry and a few that they share, twice. */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import type { Plugin } from 'rolldown'
import { rolldown } from 'rolldown'

const ROOT = import.meta.dirname
const DIST = join(ROOT, 'dist')

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
  readonly bin: Readonly<Record<string, string>>
}

/** What `doctor` preloads into the programs that it starts: a file, and nothing that users import. */
const PROBE = 'dist/cli/probe.js'

/**
 * The source files of what `package.json` exports, by the names that they have in `dist`. Commands are never required.
 */
function entriesFor(format: 'esm' | 'cjs'): Record<string, string> {
  const { exports, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
  const exported = Object.values(exports).map((entry) => (typeof entry === 'string' ? entry : entry.default))
  const names = [...exported, ...(format === 'esm' ? [...Object.values(bin), PROBE] : [])]
    .filter((path) => path.endsWith('.js'))
    .map((path) => path.replace(/^\.?\/?dist\//, '').replace(/\.js$/, ''))
  return Object.fromEntries(names.map((name) => [name, join(ROOT, 'src', `${name}.ts`)]))
}

/** Has its own file, which is loaded before all others. */
function isNodeVersion(id: string): boolean {
  return id.endsWith('node-version.ts')
}

/** What nearly every entry needs is one file: opening many small ones takes longer than reading them. */
function isBase(id: string): boolean {
  const path = relative(join(ROOT, 'src'), id)
  return /^(base|token|telemetry|context|destination|propagation|ingress.(active-relay|http.incoming))\b/.test(path)
}

/**
 * Dependencies that are only ES modules. The CommonJS build contains them: Jest, for which it is, cannot require them
 * either.
 */
const ONLY_ESM = ['cockatiel', 'jose', 'oauth4webapi']

/**
 * Both builds contain the functions of these dependencies that are used. A program would load their one file as a whole: of
 * valibot 200 KB, of which the relay needs a tenth.
 */
const SHAKEN = ['valibot']

function isExternal(id: string, format: 'esm' | 'cjs'): boolean {
  if (/^[./\0]/.test(id) || SHAKEN.includes(packageOf(id))) return false
  return format === 'esm' || !ONLY_ESM.includes(packageOf(id))
}

function packageOf(id: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? id
}

/**
 * `process` without its module: to link that, Node.js reads each member of `process`, and compiles what it makes at first
 * use, such as `process.report`.
 */
const PROCESS: Plugin = {
  name: 'process',
  resolveId: (id) => (id === 'node:process' ? '\0process' : undefined),
  load: (id) => (id === '\0process' ? 'export default globalThis.process' : undefined),
}

/** Writes one of the builds. Returns the names of its entries. */
async function bundleFor(format: 'esm' | 'cjs'): Promise<readonly string[]> {
  const entries = entriesFor(format)
  const extension = format === 'esm' ? 'js' : 'cjs'
  const bundle = await rolldown({
    input: entries,
    platform: 'node',
    external: (id) => isExternal(id, format),
    plugins: [PROCESS],
    // It must run, and export nothing.
    treeshake: { moduleSideEffects: (id) => isNodeVersion(id) || undefined },
    // Node.js 22 knows no `using`.
    transform: { target: 'es2024' },
  })
  await bundle.write({
    dir: format === 'esm' ? DIST : join(DIST, 'commonjs'),
    format,
    entryFileNames: `[name].${extension}`,
    chunkFileNames: `shared/[name].${extension}`,
    // Apps that are bundled again would find no `import.meta.url` for it.
    polyfillRequire: false,
    comments: { annotation: true, legal: true, jsdoc: false },
    codeSplitting: {
      groups: [
        { name: 'node-version', test: isNodeVersion, priority: 2 },
        { name: 'base', test: isBase, priority: 1 },
      ],
    },
  })
  await bundle.close()
  return Object.keys(entries)
}

/**
 * The declarations of the CommonJS build, for TypeScript before 5.8 or `module: node16`: those of the ES modules, whose
 * types are the same.
 */
function writeCommonJsTypes(entries: readonly string[]): void {
  for (const name of entries) {
    const file = join(DIST, 'commonjs', `${name}.cjs`)
    // `register` exports nothing, and would start.
    const values = name.startsWith('register/') ? {} : (createRequire(file)(file) as Readonly<Record<string, unknown>>)
    const path = relative(dirname(file), join(DIST, `${name}.js`)).replaceAll('\\', '/')
    const from = `from '${path}' with { 'resolution-mode': 'import' }`
    const lines = Object.entries(values).flatMap(([exported, value]) => [
      `export declare const ${exported}: typeof esm.${exported}`,
      ...(isClass(value) ? [`export type ${exported} = esm.${exported}`] : []),
    ])
    writeFileSync(
      file.replace(/cjs$/, 'd.cts'),
      [`import type * as esm ${from}`, `export type * ${from}`, ...lines, 'export {}', ''].join('\n'),
    )
  }
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && String(value).startsWith('class')
}

/** The licences of what a build contains ask to be kept with it. */
function writeLicences(folder: string, packages: readonly string[]): void {
  const texts = packages.map((name) => {
    const source = join(ROOT, 'node_modules', name)
    const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { readonly version: string }
    const [file = 'LICENSE'] = readdirSync(source).filter((entry) => /^licen[cs]e/i.test(entry))
    return `${name} ${version}\n\n${readFileSync(join(source, file), 'utf8').trim()}\n`
  })
  writeFileSync(join(folder, 'LICENSES.txt'), texts.join('\n---\n\n'))
}

rmSync(DIST, { recursive: true, force: true })
const { status } = spawnSync(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], {
  cwd: ROOT,
  stdio: 'inherit',
})
if (status !== 0) process.exit(1)

await bundleFor('esm')
writeCommonJsTypes(await bundleFor('cjs'))
writeLicences(DIST, SHAKEN)
writeLicences(join(DIST, 'commonjs'), [...ONLY_ESM, ...SHAKEN])
