/** Each code block of the README and of the pages runs: here those of a kind, in other files those with a name. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { optionsFromEnvironment } from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import { quietEnvironment } from '../package/scratch.ts'
import { complaintsIn } from '../support/process.ts'
import type { PageBlock } from './blocks.ts'
import {
  BLOCKS,
  COMMAND_TESTS,
  commandsOf,
  commandsOfKind,
  contradictions,
  fileOf,
  isCommands,
  isFile,
  kindOf,
  missingFiles,
  neededBy,
  PAGE_TESTS,
  unrunnable,
} from './blocks.ts'
import { ROOT, readBlocks, readDocument } from './markdown.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

interface Manifest {
  readonly name: string
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, object>>
}
const manifest = JSON.parse(readDocument('package.json')) as Manifest

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

describe('every block', () => {
  it('is run by a test, or says that it is text', () => {
    expect(unrunnable(BLOCKS)).toEqual([])
  })

  it('with the name of another has its text', () => {
    expect(contradictions(BLOCKS)).toEqual([])
  })

  it('finds the files that it needs on its page, or the page says where they are', () => {
    expect(missingFiles(BLOCKS)).toEqual([])
  })

  it.each(Object.entries({ ...PAGE_TESTS, ...COMMAND_TESTS }))('of %s is run by %s, which reads it', (page, test) => {
    expect(existsSync(join(ROOT, page))).toBe(true)
    expect(readDocument(test)).toContain(`'${page}'`)
  })
})

describe('commands', () => {
  it.each(commandsOfKind('script'))('%s: %s: the script exists, and so do the files that it names', (_, command) => {
    const script = manifest.scripts[/npm (?:run )?(\S+)/.exec(command.replace('npm ci && ', ''))?.[1] ?? '']
    expect(script).toBeDefined()
    const files = script?.match(/(?<![\w./-])[\w./-]+\.(?:ts|js|mjs|json)\b/g) ?? []
    expect(files.filter((file) => !file.startsWith('dist/') && !existsSync(join(ROOT, file)))).toEqual([])
  })

  const installing = Map.groupBy(commandsOfKind('install'), ([page]) => page)
  it.each([...installing])('%s: what is installed exists, and nothing that the package needs is missing', (_, all) => {
    const installed = all.flatMap(([, command]) => command.split(' ').slice(2)).filter((word) => !word.startsWith('-'))
    const workspaces = ['package.json', 'test/loading/package.json'].map((file) => JSON.parse(readDocument(file)))
    const known = workspaces.flatMap((each: Manifest) => Object.keys({ ...each.dependencies, ...each.devDependencies }))
    expect(installed.filter((name) => name !== manifest.name && !known.includes(name))).toEqual([])
    const needed = Object.keys(manifest.peerDependencies).filter((name) => !(name in manifest.peerDependenciesMeta))
    if (installed.includes(manifest.name)) expect(installed).toEqual(expect.arrayContaining(needed))
  })

  it.each(commandsOfKind('server'))('%s: %s: refuses a request without a token, as it stands', async (_, command) => {
    await using running = await stage.start(command, stage.asItStands.folder)
    const response = await stage.get('/')
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect(complaintsIn(running.output())).toEqual([])
  })

  it.each(commandsOfKind('server'))('%s: %s: verifies and forwards', async (page, command) => {
    await using running = await stage.start(stage.localized(command), stage.local.folder)
    stage.profiles.clear()
    const token = await stage.issuer.token()
    expect((await stage.get('/', await stage.issuer.token({ aud: 'another' }))).status).toBe(401)
    expect(stage.profiles.received).toEqual([])
    const response = await stage.get('/', token)
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
    const program = fileOf(command.split(' ').at(-1) ?? '').text
    if (program.includes('https://profile.internal.example/profiles/me')) {
      expect(stage.profiles.received).toMatchObject([{ target: '/profiles/me', authorization: [`Bearer ${token}`] }])
    }
    for (const request of requestsAfter(page, command)) {
      const env = quietEnvironment({ TOKEN: token })
      const { status, stderr } = spawnSync('sh', ['-c', stage.localized(request)], { env, encoding: 'utf8' })
      expect([request, status, status === 0 ? '' : stderr]).toEqual([request, 0, ''])
    }
    expect(complaintsIn(running.output())).toEqual([])
  })

  it.each(commandsOfKind('print'))('%s: %s: prints something', (_, command) => {
    const { stdout, stderr, status } = spawnSync('sh', ['-c', command], { env: quietEnvironment(), encoding: 'utf8' })
    expect([status, stderr, stdout]).toEqual([0, '', expect.stringMatching(/\S/)])
  })
})

/** The requests that a page makes to the server of `command`. */
function requestsAfter(page: string, command: string): readonly string[] {
  const commands = BLOCKS.filter((block) => block.page === page && isCommands(block)).flatMap(commandsOf)
  const after = commands.slice(commands.indexOf(command) + 1)
  const next = after.findIndex((each) => kindOf(each) === 'server')
  return after.slice(0, next === -1 ? undefined : next).filter((each) => kindOf(each) === 'request')
}

describe('configuration', () => {
  const BASE = { TOKEN_RELAY_ISSUER: 'https://id.example.com', TOKEN_RELAY_AUDIENCE: 'user-service' }
  const settings = BLOCKS.filter(
    (block) =>
      isCommands(block) && !(block.page in PAGE_TESTS) && commandsOf(block).some((c) => kindOf(c) === 'settings'),
  )

  it.each(settings.map(({ page, text }) => [page, text] as const))('%s: the variables are accepted: %s', (_, text) => {
    const lines = commandsOf({ text }).filter((line) => kindOf(line) === 'settings')
    const given = Object.fromEntries(lines.map((line) => line.replace('export ', '').split(/=(.*)/)))
    const folder = mkdtempSync(join(tmpdir(), 'variables-'))
    const file = given['TOKEN_RELAY_CONFIG_FILE']
    if (file !== undefined) {
      given['TOKEN_RELAY_CONFIG_FILE'] = join(folder, file)
      writeFileSync(join(folder, file), JSON.stringify({ issuers: [{ issuer: 'https://id.example.com' }] }))
    }
    const { issuers } = parseOptions(optionsFromEnvironment({ ...(file === undefined ? BASE : {}), ...given }))
    rmSync(folder, { recursive: true })
    expect(issuers.length).toBeGreaterThan(0)
  })

  const documents = BLOCKS.filter(({ language, page }) => language === 'json' && !(page in PAGE_TESTS))
  it.each(
    documents.map(({ page, file, text }) => [page, file ?? '', text]),
  )('%s: %s is accepted: %s', (_, __, text) => {
    const { $schema, ...options } = JSON.parse(text) as Record<string, unknown>
    if ($schema !== undefined) expect($schema).toBe('./node_modules/otel-token-relay/config.schema.json')
    if ('issuers' in options) expect(() => parseOptions(options)).not.toThrow()
  })
})

const typed = BLOCKS.filter(({ language, page }) => language === 'ts' && !(page in PAGE_TESTS))
it.each(typed.filter(isFile).map(({ file = '' }) => file))('%s has no type errors', (file) => {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const options = '--noEmit --strict --module nodenext --target es2023 --types node --ignoreConfig'.split(' ')
  const { stdout, status } = spawnSync(tsc, [...options, file], {
    cwd: stage.local.folder,
    env: quietEnvironment(),
    encoding: 'utf8',
  })
  expect([stdout, status]).toEqual(['', 0])
})

describe('the checks catch', () => {
  const blocksOf = (markdown: string): readonly PageBlock[] =>
    readBlocks(markdown).map((block) => ({ ...block, page: 'a.md' }))

  it.each([
    ['a block of python has no file name', '```python\nprint(1)\n```\n'],
    ['a block of no language has no file name', '```\nprint(1)\n```\n'],
    ['a block of js has no file name', '```js\n1\n```\n'],
    ['no test runs other.js', '```js other.js\n1\n```\n'],
    ['no test runs node other.js', '```sh\nnode other.js\n```\n'],
    ['no test runs docker compose up', '```sh\ndocker compose up\n```\n'],
    ['no test runs npm ci', '```sh\nnpm ci\n```\n'],
    ['no test runs A=1 npm install x', '```sh\nA=1 npm install x\n```\n'],
  ])('%s', (complaint, markdown) => {
    expect(unrunnable(blocksOf(markdown), ['other.json does it', 'others'])).toEqual([`a.md: ${complaint}`])
  })

  it.each([
    ['a title that begins with the file', '```js other.js\n1\n```\n'],
    ['a title that begins with the command', '```sh\nnode work.mjs --now\n```\n'],
    ['text', '```text\nx\n```\n```java text\nx\n```\n'],
  ])('nothing in %s', (_, markdown) => {
    expect(unrunnable(blocksOf(markdown), ['other.js: does it', 'node work.mjs: works'])).toEqual([])
  })

  it('a file that is another elsewhere', () => {
    const blocks = [...blocksOf('```js a.js\n1\n```\n'), ...blocksOf('```js a.js\n2\n```\n')]
    expect(contradictions(blocks)).toEqual(['a.js of a.md is not that of a.md'])
  })

  it('a file that a page needs and does not have', () => {
    const [needs] = blocksOf("```js a.js\nimport { b } from './b.js'\n```\n")
    const has = { ...blocksOf('```js b.js\n1\n```\n')[0], page: 'docs/b.md' } as PageBlock
    const blocks = [needs as PageBlock, has]
    expect(missingFiles(blocks, () => '')).toEqual(['a.md has no b.js, and no link to a page that has it'])
    expect(missingFiles(blocks, () => 'see [b](docs/b.md)')).toEqual([])
  })

  it('commands over several lines, several commands in one block, and the files that they start', () => {
    const [block] = blocksOf(
      '```sh\nA=b.json \\\nB=2 \\\n  node --require a --import ./t.mjs b.js\nnpm install c\n```\n',
    )
    expect(block && commandsOf(block)).toEqual(['A=b.json B=2 node --require a --import ./t.mjs b.js', 'npm install c'])
    expect(block && neededBy(block)).toEqual(['b.json', 't.mjs', 'b.js'])
  })
})
