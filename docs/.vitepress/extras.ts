/** What the built site has beside its pages: redirects of pages that have moved, `llms.txt`, and the pages as Markdown. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Section } from './sections.ts'
import { DOCS, pageExists, readMoved, readSections } from './sections.ts'

interface Site {
  readonly outDir: string
  /** The address of the site, with a slash at its end. */
  readonly address: string
  readonly title: string
  readonly description: string
}

export function writeExtras(site: Site): void {
  for (const [from, to] of Object.entries(readMoved())) {
    if (!pageExists(to)) throw new Error(`docs/moved.json: ${from} leads to ${to}, which does not exist`)
    if (pageExists(from)) throw new Error(`docs/moved.json: ${from} is a page again`)
    write(join(site.outDir, `${from}.html`), redirectTo(`${site.address}${to}`))
  }
  const sections = readSections()
  write(join(site.outDir, 'llms.txt'), indexOf(sections, site))
  const pages = sections.flatMap(({ pages }) => pages.map(({ path }) => ({ path, text: textOf(path) })))
  for (const { path, text } of pages) write(join(site.outDir, `${path}.md`), text)
  write(join(site.outDir, 'llms-full.txt'), pages.map(({ path, text }) => `<!-- ${path} -->\n\n${text}`).join('\n'))
}

function redirectTo(address: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>This page has moved</title>
<link rel="canonical" href="${address}">
<meta name="robots" content="noindex">
<script>location.replace(${JSON.stringify(address)} + location.hash)</script>
<meta http-equiv="refresh" content="1; url=${address}">
<p>This page has moved to <a href="${address}">${address}</a>.</p>
</html>
`
}

/** An index as https://llmstxt.org describes it. */
function indexOf(sections: readonly Section[], { address, title, description }: Site): string {
  const parts = sections.map((section) => {
    const lines = section.pages.map(
      (page) => `- [${page.title}](${address}${page.path}.md): ${firstSentence(page.path)}`,
    )
    return `## ${section.title}\n\n${lines.join('\n')}`
  })
  return [`# ${title}`, `> ${description}`, ...parts].join('\n\n').concat('\n')
}

function textOf(path: string): string {
  return readFileSync(join(DOCS, `${path}.md`), 'utf8')
}

/** The first sentence below the title, without links. */
function firstSentence(path: string): string {
  const paragraphs = textOf(path).split(/\n{2,}/)
  const first = paragraphs.find((text) => /^[A-Z`*[]/.test(text)) ?? ''
  const plain = first.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/\s+/g, ' ')
  return /^.*?[.:](?= |$)/.exec(plain)?.[0].replace(/:$/, '.') ?? plain
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
