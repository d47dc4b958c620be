/** The documentation site: `npm run docs` builds it, `npm run docs:dev` shows it while it is written. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DefaultTheme } from 'vitepress'
import { defineConfig } from 'vitepress'
import { writeExtras } from './extras.ts'
import { outward } from './links.ts'
import { SEARCH } from './search.ts'
import type { Section } from './sections.ts'
import { API, DOCS, readSections } from './sections.ts'

const BASE = '/otel-token-relay/'
const ADDRESS = `https://otel-token-relay.github.io${BASE}`
const TITLE = 'otel-token-relay'
const DESCRIPTION =
  'The caller’s token travels with the OpenTelemetry context, is verified in every service, and leaves only for named destinations.'

const sections = readSections()
/** The pages of a section, then the other sections. */
function sidebarOf(folder: string): DefaultTheme.SidebarItem[] {
  const item = (page: Section['pages'][number], text = page.title) => ({ text, link: `/${page.path}` })
  const own = sections.filter((section) => section.folder === folder)
  const others = sections.filter((section) => section.folder !== folder)
  return [
    ...own.map(({ title, pages }) => ({ text: title, items: pages.map((page) => item(page)) })),
    { text: 'More', items: others.flatMap(({ title, pages }) => pages.slice(0, 1).map((page) => item(page, title))) },
  ]
}

/** The pages of TypeDoc, if it has run. */
function readApi(): DefaultTheme.SidebarItem[] {
  const folder = join(DOCS, API)
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).map((file) => file.replace(/\.md$/, ''))
  const modules = names.filter((name) => name !== 'index' && name !== TITLE)
  const items = [TITLE, ...modules.toSorted()].map((name) => ({
    text: name === TITLE ? name : `${TITLE}/${name}`,
    link: `/${API}/${name}`,
  }))
  return [{ text: 'API', items }]
}

/** What Prometheus calls its queries, with as much colour as they need. */
const PROMQL = {
  name: 'promql',
  scopeName: 'source.promql',
  repository: {},
  patterns: [
    { name: 'string.quoted', match: '"[^"]*"' },
    { name: 'comment.line', match: '#.*$' },
    { name: 'keyword.control', match: '\\b(by|without|on|ignoring|and|or|unless)\\b' },
    { name: 'support.function', match: '\\b[a-z_]+(?=\\()' },
    { name: 'constant.numeric', match: '\\b[0-9.]+[smhd]?\\b' },
  ],
}

export default defineConfig({
  lang: 'en',
  title: TITLE,
  description: DESCRIPTION,
  base: BASE,
  cleanUrls: true,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${BASE}favicon.svg` }]],
  lastUpdated: false,
  sitemap: { hostname: ADDRESS },
  markdown: {
    // As GitHub names them, so that a link leads to the same heading on both.
    anchor: {
      slugify: (title) =>
        title
          .trim()
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
          .replaceAll(/\s/g, '-'),
    },
    languages: [PROMQL],
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config(md) {
      const { fence } = md.renderer.rules
      md.renderer.rules.fence = (tokens, i, ...rest) => {
        const block = fence?.(tokens, i, ...rest) ?? ''
        const [, file] = tokens[i]?.info.trim().split(/\s+/) ?? []
        if (file === undefined || file === 'text') return block
        return `<figure class="file"><figcaption>${md.utils.escapeHtml(file)}</figcaption>${block}</figure>`
      }
      md.core.ruler.push('outward', ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? [])) {
          const href = token.type === 'link_open' ? token.attrGet('href') : null
          if (href !== null) token.attrSet('href', outward(href, env.relativePath))
        }
      })
    },
  },
  themeConfig: {
    nav: sections.map(({ title, folder, pages }) => ({
      text: title,
      link: `/${pages[0]?.path ?? ''}`,
      activeMatch: `^/${folder}/`,
    })),
    sidebar: Object.fromEntries([
      [`/${API}/`, [...readApi(), ...sidebarOf('')]],
      ...sections.map(({ folder }) => [`/${folder}/`, sidebarOf(folder)]),
      ['/', sidebarOf('start')],
    ]),
    outline: { level: [2, 3] },
    search: { provider: 'local', options: SEARCH },
    socialLinks: [
      { icon: 'github', link: 'https://github.com/otel-token-relay/otel-token-relay', ariaLabel: 'Repository' },
    ],
    externalLinkIcon: true,
  },
  buildEnd: ({ outDir }) => writeExtras({ outDir, address: ADDRESS, title: TITLE, description: DESCRIPTION }),
})
