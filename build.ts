/** Builds `dist`: declarations file by file, and the code as one module for each entry and one for what they share. */

import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { rolldown } from 'rolldown'

const ROOT = import.meta.dirname
const DIST = join(ROOT, 'dist')

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
  readonly bin: Readonly<Record<string, string>>
}

/** The source files of what `package.json` exports, by the names that they have in `dist`. */
function entries(): Record<string, string> {
  const { exports, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
  const exported = Object.values(exports).map((entry) => (typeof entry === 'string' ? entry : entry.default))
  const names = [...exported, ...Object.values(bin)]
    .filter((path) => path.endsWith('.js'))
    .map((path) => path.replace(/^\.?\/?dist\//, '').replace(/\.js$/, ''))
  return Object.fromEntries(names.map((name) => [name, join(ROOT, 'src', `${name}.ts`)]))
}

/** What nearly every entry needs is one file: opening many small ones takes longer than reading them. */
function isBase(id: string): boolean {
  const path = relative(join(ROOT, 'src'), id)
  return /^(base|token|telemetry|context|destination|propagation|ingress.(active-relay|http.incoming))\b/.test(path)
}

rmSync(DIST, { recursive: true, force: true })
const { status } = spawnSync(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], {
  cwd: ROOT,
  stdio: 'inherit',
})
if (status !== 0) process.exit(1)

const bundle = await rolldown({
  input: entries(),
  platform: 'node',
  external: (id) => !/^[./\0]/.test(id),
  // Node.js 22 knows no `using`.
  transform: { target: 'es2024' },
})
await bundle.write({
  dir: DIST,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name].js',
  // Apps that are bundled again would find no `import.meta.url` for it.
  polyfillRequire: false,
  comments: { annotation: true, legal: true, jsdoc: false },
  codeSplitting: { groups: [{ name: 'base', test: isBase }] },
})
