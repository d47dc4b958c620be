/** The hook that `npm run hooks` turns on, in a temporary repository: which subjects it refuses, and what it says. */

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { column, ROOT, readDocument, readTable } from '../docs/markdown.ts'

const contributing = readDocument('CONTRIBUTING.md')
const scripts = (JSON.parse(readDocument('package.json')) as { scripts: Record<string, string> }).scripts

let repository: string

// Neither the configuration of this machine nor a git that runs these tests as a hook takes part.
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
}

const options = () => ({ cwd: repository, env: environment, encoding: 'utf8' as const })

function git(...parameters: readonly string[]): string {
  return execFileSync('git', parameters, { ...options(), stdio: 'pipe' }).trim()
}

/** What git says to a commit with `message`; `undefined` if it makes one. */
function refusalOf(message: string, ...parameters: readonly string[]): string | undefined {
  const run = spawnSync('git', ['commit', '--allow-empty', '--file', '-', ...parameters], {
    ...options(),
    input: message,
  })
  return run.status === 0 ? undefined : run.stderr
}

beforeAll(() => {
  repository = mkdtempSync(join(tmpdir(), 'hooks-'))
  cpSync(join(ROOT, '.githooks'), join(repository, '.githooks'), { recursive: true })
  git('init', '--initial-branch', 'main')
  execFileSync('sh', ['-c', scripts['hooks'] ?? 'exit 1'], options())
  expect(refusalOf('chore(start): first commit')).toBeUndefined()
})

afterAll(() => {
  rmSync(repository, { recursive: true, force: true })
})

describe('the hook accepts', () => {
  const good = column(readTable(contributing, 'Good subject'), 'Good subject')
  const rewritten = column(readTable(contributing, 'Refused subject'), 'Better')

  it.each([...good, ...rewritten])('the subject that CONTRIBUTING shows as good: %s', (subject) => {
    expect(refusalOf(subject)).toBeUndefined()
    expect(git('log', '-1', '--format=%s')).toBe(subject)
  })

  it('a subject of 60 characters, whatever their number of bytes, and a body of longer lines', () => {
    const subject = `fix(egress): ${'é'.repeat(47)}`
    expect(refusalOf(`${subject}\n\n${'long '.repeat(40)}\n`)).toBeUndefined()
  })

  it('a breaking change, and comments of an editor around the subject', () => {
    expect(refusalOf('# Please enter a message\nfeat(options)!: rename a value\n# and more\n')).toBeUndefined()
  })

  it('merges, reverts and fixups as git words them', () => {
    const long = `fix(egress): ${'a'.repeat(47)}`
    expect(refusalOf(long)).toBeUndefined()
    git('commit', '--allow-empty', '--fixup', 'HEAD')
    git('checkout', '-b', `a-branch-with-a-name-${'a'.repeat(60)}`)
    expect(refusalOf('fix(egress): a change')).toBeUndefined()
    git('checkout', 'main')
    git('merge', '--no-ff', '--no-edit', '-')
    expect(git('log', '-1', '--format=%s').length).toBeGreaterThan(60)
    expect(refusalOf(`Revert "${long}"\n\nThis reverts commit 0123456.`)).toBeUndefined()
  })
})

describe('the hook refuses', () => {
  it.each(
    column(readTable(contributing, 'Refused subject'), 'Refused subject'),
  )('the subject that CONTRIBUTING shows as bad: %s', (subject) => {
    const before = git('rev-parse', 'HEAD')
    expect(refusalOf(subject)).toContain(`refused: ${subject}`)
    expect(git('rev-parse', 'HEAD')).toBe(before)
  })

  it('61 characters, and says how many there are', () => {
    const refusal = refusalOf(`fix(egress): ${'a'.repeat(48)}`)
    expect(refusal).toContain('the subject has 61 characters, and the limit is 60')
    expect(refusal).not.toContain('type(noun)')
  })

  it('a subject that goes on in the second line, as git log shows it', () => {
    expect(refusalOf(`fix(egress): ${'a'.repeat(30)}\n${'a'.repeat(30)}`)).toContain('the subject has 74 characters')
  })

  it.each([
    'fix: no noun',
    'fix(): an empty noun',
    'fix(Egress): a noun in upper case',
    'fixed(egress): an unknown type',
    'fix(egress):no space',
    'fix(egress): ',
    'fix(egress): ends with a full stop.',
    'Merge what I have',
    'Revert the last change',
  ])('%j, and says which form it should have', (subject) => {
    const refusal = refusalOf(subject)
    expect(refusal).toContain('the subject is not "type(noun): what changed"')
    expect(refusal).toContain('the type is one of build chore ci docs feat fix perf refactor style test')
  })
})
