/** Which packages are installed, as `require` would find them, and how many copies of one there are. */

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface InstalledPackage {
  readonly version: string
  /** Without symbolic links. */
  readonly folder: string
}

/** The copy of `name` that a module in `folder` gets; `undefined` if there is none. */
export function findPackage(name: string, folder: string): InstalledPackage | undefined {
  for (const modules of modulesAbove(folder)) {
    const found = readPackage(join(modules, name))
    if (found !== undefined) return found
  }
  return undefined
}

/** Every copy of `name` that some package below or above `folder` may get. */
export function copiesOf(name: string, folder: string): readonly InstalledPackage[] {
  const copies = new Map<string, InstalledPackage>()
  const seen = new Set<string>()
  for (const modules of modulesAbove(folder)) {
    for (const each of packagesIn(modules, seen)) {
      const found = readPackage(join(each, name))
      if (found !== undefined) copies.set(found.folder, found)
    }
  }
  return [...copies.values()]
}

/** Every folder `node_modules` that modules in `folder` look into. */
function modulesAbove(folder: string): readonly string[] {
  const parent = dirname(folder)
  const above = parent === folder ? [] : modulesAbove(parent)
  const own = join(folder, 'node_modules')
  return existsSync(own) ? [own, ...above] : above
}

/** The folders `node_modules` in and below `modules`; pnpm keeps its own in `.pnpm`. */
function packagesIn(modules: string, seen: Set<string>): readonly string[] {
  const real = realPath(modules)
  // A link to another workspace: what that has installed is for its own programs.
  const isForeign = real !== undefined && real !== modules && !/[\\/]node_modules[\\/]/.test(dirname(real))
  if (real === undefined || isForeign || seen.has(real)) return []
  seen.add(real)
  const below = foldersIn(real).flatMap((name) => {
    if (name.startsWith('@')) return foldersIn(join(real, name)).map((inner) => join(real, name, inner))
    return name === '.pnpm' ? foldersIn(join(real, name)).map((inner) => join(real, name, inner)) : [join(real, name)]
  })
  return [real, ...below.flatMap((each) => packagesIn(join(each, 'node_modules'), seen))]
}

function foldersIn(folder: string): readonly string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map(({ name }) => name)
  } catch {
    return []
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function readPackage(folder: string): InstalledPackage | undefined {
  try {
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly version?: unknown }
    return typeof version === 'string' ? { version, folder: realpathSync(folder) } : undefined
  } catch {
    return undefined
  }
}

/** Whether `version` is `minimum` or later, and before `below`. Pre-releases count as their release. */
export function isWithin(version: string, minimum: string, below: string): boolean {
  return compareVersions(version, minimum) >= 0 && compareVersions(version, below) < 0
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)]
  for (const index of [0, 1, 2]) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function numbersOf(version: string): readonly number[] {
  return (version.split(/[-+]/, 1)[0] ?? '').split('.').map(Number)
}
