/** Which test runs each code block of the README and of the pages. */

import { readTestFiles, titlesOf } from '../architecture/titles.ts'
import type { Block } from './markdown.ts'
import { PAGES, readBlocks, readDocument } from './markdown.ts'

/** A block, and the page that it is on. */
export interface PageBlock extends Block {
  readonly page: string
}

export const BLOCKS: readonly PageBlock[] = PAGES.flatMap((page) =>
  readBlocks(readDocument(page)).map((block) => ({ ...block, page })),
)

/** Pages with a test of their own, which runs all of their blocks and fails if it does not know one of them. */
export const PAGE_TESTS: Readonly<Record<string, string>> = {
  'docs/guides/envoy-istio.md': 'test/interop/envoy.interop.ts',
  'docs/guides/from-spring.md': 'test/docs/spring.test.ts',
  'docs/guides/issuers.md': 'test/verification/known-issuers.test.ts',
  'docs/guides/nestjs.md': 'test/docs/frameworks.test.ts',
  'docs/guides/other-languages.md': 'test/interop/sealing.interop.ts',
  'docs/guides/other-languages-programs.md': 'test/interop/sealing.interop.ts',
}

/** Pages whose commands a test of their own runs. The other blocks of these pages are like those of any page. */
export const COMMAND_TESTS: Readonly<Record<string, string>> = {
  'docs/guides/loading.md': 'test/docs/loading.test.ts',
}

/**
 * - `script`: a script of package.json, which exists.
 * - `install`: packages that the repository knows.
 * - `server`: a program that listens on port 8080, with its gate, and may call the example hosts.
 * - `request`: a request to the server of the command before it.
 * - `tool`: the command line of the package.
 * - `settings`: variables of the environment.
 * - `print`: prints something.
 */
type Kind = 'script' | 'install' | 'server' | 'request' | 'tool' | 'settings' | 'print'

const KINDS: readonly (readonly [Kind, RegExp])[] = [
  ['script', /^(npm ci && )?npm (run \S+|test)( -- .*)?$/],
  ['install', /^npm install( (-D|-E|--save-dev|--save-exact))*( @?[\w/-]+)+$/],
  ['server', /^([A-Z_]+=\S+ )*node( --(require|import)[ =]\S+)* \S+\.(js|mjs|cjs|ts)$/],
  ['request', /^curl .*\blocalhost:8080\b/],
  ['tool', /^npx otel-token-relay (doctor|explain|init)\b/],
  ['settings', /^(export )?(TOKEN_RELAY|OTEL|NODE)_[A-Z_]+=\S*$/],
  ['print', /^node -p /],
]

export function kindOf(command: string): Kind | undefined {
  return KINDS.find(([, pattern]) => pattern.test(command))?.[0]
}

/** The commands of a block, each on one line. */
export function commandsOf({ text }: Pick<Block, 'text'>): readonly string[] {
  return text
    .replaceAll(/ *\\\n */g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
}

/** Whether the page says that nothing is to be run: text alone, or a language that is there for its colours. */
export function isText({ language, file }: Block): boolean {
  return language === 'text' || file === 'text'
}

/** Whether the block is a file of its page. */
export function isFile(block: Block): boolean {
  return block.file !== undefined && !isText(block)
}

/** Shell commands, which are run one by one. */
export function isCommands(block: Block): boolean {
  return block.language === 'sh' && block.file === undefined
}

/** The page on which a file is, and its text. */
export function fileOf(name: string, blocks: readonly PageBlock[] = BLOCKS): PageBlock {
  const found = blocks.find((block) => isFile(block) && block.file === name)
  if (found === undefined) throw new Error(`no page has a block ${name}`)
  return found
}

/** The commands of a kind that pages without a test of their own have, and each page once. */
export function commandsOfKind(
  kind: Kind,
  blocks: readonly PageBlock[] = BLOCKS,
): readonly (readonly [string, string])[] {
  const found = blocks
    .filter((block) => isCommands(block) && !(block.page in PAGE_TESTS) && !(block.page in COMMAND_TESTS))
    .flatMap((block) => commandsOf(block).map((command) => [block.page, command] as const))
    .filter(([, command]) => kindOf(command) === kind)
  return [...new Map(found.map((each) => [each.join('\n'), each])).values()]
}

const TITLES: readonly string[] = titlesOf(readTestFiles()).map(({ text }) => text)

/**
 * Complaints about blocks that no test runs. A file is run if a server command starts it, or if the title of a test names
 * it; another command, if the title of a test begins with it, up to a colon.
 */
export function unrunnable(blocks: readonly PageBlock[], titles: readonly string[] = TITLES): readonly string[] {
  return blocks.flatMap((block) => {
    const { page } = block
    if (isText(block) || page in PAGE_TESTS) return []
    const complaints = isCommands(block) ? ofCommands(block, blocks, titles) : ofProgram(block, blocks, titles)
    return complaints.map((complaint) => `${page}: ${complaint}`)
  })
}

function ofCommands(block: PageBlock, blocks: readonly PageBlock[], titles: readonly string[]): readonly string[] {
  if (block.page in COMMAND_TESTS) return []
  return commandsOf(block).flatMap((command) => (isRun(command, blocks, titles) ? [] : `no test runs ${command}`))
}

/** `pages.test.ts` checks JSON and `rollout.test.ts` queries, with a name or without. */
function ofProgram(block: Block, blocks: readonly PageBlock[], titles: readonly string[]): readonly string[] {
  const { language, file } = block
  if (language === 'json' || language === 'promql') return []
  if (file === undefined) return [`a block of ${language === '' ? 'no language' : language} has no file name`]
  const isStarted = blocks.some((other) => isCommands(other) && neededBy(other).includes(file))
  return isStarted || titles.some((title) => mentions(title, file)) ? [] : [`no test runs ${file}`]
}

function isRun(command: string, blocks: readonly PageBlock[], titles: readonly string[]): boolean {
  const started = titles.filter((title) => /^(node|npx) /.test(title)).map((title) => title.split(': ')[0] ?? '')
  if (started.some((words) => beginsWith(command, words))) return true
  const kind = kindOf(command)
  if (kind !== 'server') return kind !== undefined
  const program = command.split(' ').at(-1)
  return blocks.some(({ file, text }) => file === program && /\blisten\(|\bserve\(/.test(text))
}

/** Whether `text` begins with `name`, as a word. */
function beginsWith(text: string, name: string): boolean {
  return text.startsWith(name) && /^($|[\s:,])/.test(text.slice(name.length))
}

/** Whether `title` has `file` in it, as a word. */
function mentions(title: string, file: string): boolean {
  return title.split(/[\s:,;()"']+/).includes(file)
}

/** Complaints about files that are there twice with different texts. */
export function contradictions(blocks: readonly PageBlock[]): readonly string[] {
  const files = blocks.filter(isFile)
  return files.flatMap(({ page, file, text }) => {
    const first = files.find((block) => block.file === file)
    return first === undefined || first.text === text ? [] : [`${file} of ${page} is not that of ${first.page}`]
  })
}

/** Complaints about files that a block needs, and that its page neither has nor links to. */
export function missingFiles(
  blocks: readonly PageBlock[],
  read: (page: string) => string = readDocument,
): readonly string[] {
  return blocks.flatMap((block) => {
    if (isText(block) || (isCommands(block) && block.page in COMMAND_TESTS)) return []
    return neededBy(block).flatMap((file) => {
      const pages = blocks.filter((other) => other.file === file).map(({ page }) => page)
      if (pages.includes(block.page)) return []
      const linked = pages.some((page) => read(block.page).includes(`${page.split('/').at(-1)}`))
      return linked ? [] : [`${block.page} has no ${file}, and no link to a page that has it`]
    })
  })
}

/** The files beside it that a block imports or starts, by their names. */
export function neededBy(block: Block): readonly string[] {
  if (isCommands(block)) {
    return commandsOf(block).flatMap((command) =>
      kindOf(command) === 'server'
        ? [...command.matchAll(/(?: |=\.\/|=|\.\/)([\w-]+\.(?:js|mjs|cjs|ts|json))(?= |$)/g)].map(
            ([, name]) => name ?? '',
          )
        : [],
    )
  }
  return [...block.text.matchAll(/(?:from|import|import\() ?'\.\/([\w./-]+)'/g)].map(([, name]) => name ?? '')
}
