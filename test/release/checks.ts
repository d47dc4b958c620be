/** What must hold before a version is published. Each check takes what it looks at, so that tests can give it wrong things. */

/** What `npm pack --json` says. */
export interface Packed {
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

export interface Lock {
  readonly packages: Readonly<Record<string, LockEntry | undefined>>
}

interface LockEntry {
  readonly version?: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

interface Versions {
  readonly manifest: string
  readonly source: string
  readonly lock: string | undefined
  /** The tag that is released, if one is. */
  readonly tag: string | undefined
}

export function versionProblems({ manifest, source, lock, tag }: Versions): readonly string[] {
  const others = { 'src/version.ts': source, 'package-lock.json': lock, 'the tag': tag?.replace(/^v/, '') ?? manifest }
  return [
    ...(/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(manifest) ? [] : [`${manifest} is no version`]),
    ...Object.entries(others)
      .filter(([, version]) => version !== manifest)
      .map(([place, version]) => `package.json has ${manifest}, ${place} has ${version}`),
  ]
}

/** A release has a section with its date, and nothing is left under "Unreleased". Before it, what comes stands there. */
export function changelogProblems(changelog: string, version: string, isRelease: boolean): readonly string[] {
  const sections = changelog.split(/^## /m).slice(1)
  const own = sections.find((section) => section.startsWith(`${version} - `))
  const unreleased = sections.find((section) => /^Unreleased\n/.test(section))
  if (!isRelease) return own === undefined && unreleased === undefined ? ['CHANGELOG.md has no section to release'] : []
  return [
    ...(own !== undefined && /^\S+ - \d{4}-\d{2}-\d{2}\n[\s\S]*^- /m.test(own)
      ? []
      : [`CHANGELOG.md has no section "${version} - YYYY-MM-DD" with entries`]),
    ...(unreleased !== undefined && /^- /m.test(unreleased) ? ['CHANGELOG.md has entries under "Unreleased"'] : []),
  ]
}

const DOCUMENTS = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'config.schema.json', 'package.json']
const BUILT = /^dist\/([\w./-]+\.(js|cjs|d\.ts|d\.cts)|(commonjs\/)?LICENSES\.txt)$/

/** `targets` are the files that package.json names: exports, types and the command. */
export function fileProblems({ files }: Packed, targets: readonly string[]): readonly string[] {
  const paths = files.map(({ path }) => path)
  return [
    ...paths.filter((path) => !DOCUMENTS.includes(path) && !BUILT.test(path)).map((path) => `${path} is packed`),
    ...[...DOCUMENTS, ...targets].filter((path) => !paths.includes(path)).map((path) => `${path} is not packed`),
  ]
}

/** In bytes. */
interface Sizes {
  readonly packed: number
  readonly unpacked: number
  readonly register: number
}

/** A tenth more than on 2026-12-01. A change that needs more says why in its commit. */
const LIMITS: Sizes = { packed: 755_000, unpacked: 3_580_000, register: 715_000 }

export function sizeProblems(sizes: Sizes, limits: Sizes = LIMITS): readonly string[] {
  return (Object.keys(limits) as (keyof Sizes)[])
    .filter((name) => sizes[name] > limits[name] || !(sizes[name] > 0))
    .map((name) => `${name}: ${sizes[name]} bytes, at most ${limits[name]} are expected`)
}

const LICENCES = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT']

/** Every package that is installed with this one has a licence of the list. */
export function licenceProblems({ packages }: Lock): readonly string[] {
  const pending = [['', packages['']] as const] as (readonly [string, LockEntry | undefined])[]
  const seen = new Map<string, LockEntry | undefined>()
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [path, entry] = next
    for (const name of Object.keys(entry?.dependencies ?? {})) {
      const found = [`${path}/node_modules/${name}`, `node_modules/${name}`].find(
        (each) => packages[each] !== undefined,
      )
      const key = found ?? name
      if (seen.has(key)) continue
      seen.set(key, packages[key])
      pending.push([key, packages[key]])
    }
  }
  return [...seen]
    .filter(([, entry]) => !LICENCES.includes(entry?.license ?? ''))
    .map(([path, entry]) => `${path.replace(/^.*node_modules\//, '')}: ${entry?.license ?? 'no licence'}`)
}
