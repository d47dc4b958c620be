/** `npm run release:check` fails for each wrong thing; the workflows pin what they use. */

import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ROOT, readDocument } from '../docs/markdown.ts'
import { changelogProblems, fileProblems, licenceProblems, sizeProblems, versionProblems } from './checks.ts'

describe('a release is refused', () => {
  const same = { manifest: '1.2.3', source: '1.2.3', lock: '1.2.3', tag: 'v1.2.3' }

  it.each([
    [{ source: '1.2.2' }, 'package.json has 1.2.3, src/version.ts has 1.2.2'],
    [{ lock: '1.2.2' }, 'package.json has 1.2.3, package-lock.json has 1.2.2'],
    [{ tag: 'v1.2.4' }, 'package.json has 1.2.3, the tag has 1.2.4'],
  ])('for another version somewhere: %j', (wrong, problem) => {
    expect(versionProblems(same)).toEqual([])
    expect(versionProblems({ ...same, ...wrong })).toEqual([problem])
  })

  it('for what is no version', () => {
    const tag = undefined
    expect(versionProblems({ manifest: '1.2', source: '1.2', lock: '1.2', tag })).toEqual(['1.2 is no version'])
  })

  const changelog = '# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-02\n\n- A change.\n'

  it.each([
    [changelog.replace('1.2.3 - 2026-01-02', '1.2.2 - 2026-01-02'), 'no section "1.2.3 - YYYY-MM-DD"'],
    [changelog.replace(' - 2026-01-02', ''), 'no section "1.2.3 - YYYY-MM-DD"'],
    [changelog.replace('- A change.', ''), 'no section "1.2.3 - YYYY-MM-DD" with entries'],
    [changelog.replace('## Unreleased\n', '## Unreleased\n\n- More.\n'), 'entries under "Unreleased"'],
  ])('for a wrong changelog: %j', (wrong, problem) => {
    expect(changelogProblems(changelog, '1.2.3', true)).toEqual([])
    expect(changelogProblems(wrong, '1.2.3', true)).toEqual([expect.stringContaining(problem)])
  })

  it('without a section for the next version', () => {
    expect(changelogProblems('# Changelog\n', '1.2.3', false)).toEqual(['CHANGELOG.md has no section to release'])
    expect(changelogProblems(changelog, '1.2.4', false)).toEqual([])
  })

  const DOCUMENTS = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'config.schema.json', 'package.json']
  const packedOf = (...paths: readonly string[]) => ({
    size: 1,
    unpackedSize: 1,
    files: paths.map((path) => ({ path })),
  })

  it('for a file too many or too few', () => {
    const targets = ['dist/index.js']
    expect(fileProblems(packedOf(...DOCUMENTS, ...targets), targets)).toEqual([])
    expect(fileProblems(packedOf(...DOCUMENTS), targets)).toEqual(['dist/index.js is not packed'])
    for (const more of ['docs/index.md', 'src/index.ts', 'dist/index.ts', '.env']) {
      expect(fileProblems(packedOf(...DOCUMENTS, ...targets, more), targets)).toEqual([`${more} is packed`])
    }
  })

  it('for a size that has grown, or is not known', () => {
    const limits = { packed: 10, unpacked: 10, register: 10 }
    expect(sizeProblems(limits, limits)).toEqual([])
    for (const name of ['packed', 'unpacked', 'register']) {
      for (const size of [11, 0, Number.NaN]) {
        expect(sizeProblems({ ...limits, [name]: size }, limits)).toEqual([expect.stringContaining(name)])
      }
    }
  })

  it('for a licence that is not on the list, at any depth', () => {
    const lock = (license: string | undefined) => ({
      packages: {
        '': { dependencies: { a: '1' } },
        'node_modules/a': { license: 'MIT', dependencies: { b: '1' } },
        'node_modules/a/node_modules/b': license === undefined ? {} : { license },
        'node_modules/tool': { license: 'GPL-3.0' },
      },
    })
    expect(licenceProblems(lock('ISC'))).toEqual([])
    expect(licenceProblems(lock('GPL-3.0'))).toEqual(['b: GPL-3.0'])
    expect(licenceProblems(lock(undefined))).toEqual(['b: no licence'])
  })

  it('not for what is here', () => {
    expect(licenceProblems(JSON.parse(readDocument('package-lock.json')))).toEqual([])
  })
})

describe('the workflows', () => {
  const folder = join(ROOT, '.github', 'workflows')
  const files = readdirSync(folder)

  it.each(files)('%s pins every action by its commit, and grants nothing by default', (file) => {
    const text = readDocument(`.github/workflows/${file}`)
    const used = [...text.matchAll(/uses: (.+)$/gm)].map(([, action]) => action ?? '')
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((action) => !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))).toEqual([])
    expect((parse(text) as { readonly permissions: object }).permissions).toEqual({ contents: 'read' })
  })

  it('no script has an expression in it, which an attacker could fill', () => {
    const scripts = files.flatMap((file) => {
      const { jobs } = parse(readDocument(`.github/workflows/${file}`)) as {
        readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly run?: string }[] }>>
      }
      return Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []))
    })
    expect(scripts.length).toBeGreaterThan(5)
    expect(scripts.filter((script) => script.includes('${{'))).toEqual([])
  })

  it('each npm script that they run exists', () => {
    const { scripts } = JSON.parse(readDocument('package.json')) as {
      readonly scripts: Readonly<Record<string, string>>
    }
    const names = files.flatMap((file) =>
      [...readDocument(`.github/workflows/${file}`).matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name),
    )
    expect(names.length).toBeGreaterThan(2)
    expect(names.filter((name) => !(name in scripts))).toEqual([])
  })

  it('only the release may write to the repository', () => {
    expect(files.filter((file) => readDocument(`.github/workflows/${file}`).includes('contents: write'))).toEqual([
      'release.yml',
    ])
  })

  it('CI runs on every version of Node.js that is supported', () => {
    expect(readDocument('.github/workflows/ci.yml')).toContain("node: ['22', '24', '26']")
  })
})

it('what is generated and ignored is not committed', () => {
  const ignored = execFileSync('git', ['ls-files', '--cached', '--ignored', '--exclude-standard'], { cwd: ROOT })
  expect(ignored.toString()).toBe('')
})

it('the README has at most nine kilobytes', () => {
  expect(Buffer.byteLength(readDocument('README.md'))).toBeLessThanOrEqual(9 * 1024)
})

it('the entry for the registry of OpenTelemetry is about this package', () => {
  const entry = parse(readDocument('docs/registry/instrumentation-js-token-relay.yml')) as {
    readonly package: { readonly name: string; readonly version: string }
  }
  const { name, version } = JSON.parse(readDocument('package.json')) as {
    readonly name: string
    readonly version: string
  }
  expect(entry.package).toEqual({ registry: 'npm', name, version })
})
