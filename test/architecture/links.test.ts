/** Links between the committed Markdown files lead to files and headings that exist. */

import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join, normalize } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT, readDocument } from '../docs/markdown.ts'

const FILES = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(ROOT, file)))

const withoutBlocks = (text: string) => text.replaceAll(/^```.*?^```$/gms, '')

/** As GitHub names its headings. */
function anchorsOf(file: string): readonly string[] {
  return [...withoutBlocks(readDocument(file)).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .trim()
      .toLowerCase()
      .replaceAll(/\]\([^)]*\)/g, ']')
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  )
}

function isDead(file: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? file : normalize(join(file, '..', path))
  if (!existsSync(join(ROOT, target))) return true
  return anchor !== undefined && target.endsWith('.md') && statSync(join(ROOT, target)).isFile()
    ? !anchorsOf(target).includes(anchor)
    : false
}

it.each(FILES)('%s has no dead link', (file) => {
  const text = withoutBlocks(readDocument(file)).replaceAll(/`[^`\n]*`/g, '')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  expect(links.filter((link) => !/^[a-z]+:/.test(link) && isDead(file, link))).toEqual([])
})
