/** The sections of the site, with their pages in order. A page that is in none of these lists comes after them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Page {
  /** Below `docs`, without `.md`. */
  readonly path: string
  readonly title: string
}

export interface Section {
  readonly title: string
  readonly folder: string
  readonly pages: readonly Page[]
}

export const DOCS: string = join(import.meta.dirname, '..')

const ORDER: readonly (readonly [folder: string, title: string, pages: string])[] = [
  ['start', 'Start', 'without-code nodesdk in-code demo first-401 rollout questions'],
  ['understand', 'Understand', 'travel caller verification destinations security limits compared'],
  [
    'guides',
    'Guides',
    `issuers frameworks express fastify koa hono nestjs grpc loading clients graphql trpc connect envoy-istio
     exchange messages brokers sealed-messages fleet other-languages other-languages-programs workers async service-client
     revocation audit redaction testing operate runbook operator from-spring beside-spring from-passport-jwt
     from-express-oauth2-jwt-bearer`,
  ],
  ['reference', 'Reference', 'options variables errors events withheld command-line exports conformance dependencies'],
  ['contribute', 'Contribute', 'map undici attacks benchmarks style releasing words'],
]

/** TypeDoc's pages, which are in no repository. They have their own sidebar. */
export const API = 'reference/api'

export function readSections(): readonly Section[] {
  return ORDER.map(([folder, title, order]) => {
    const names = readdirSync(join(DOCS, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
      .map((entry) => entry.name.replace(/\.md$/, ''))
    const wanted = order.split(/\s+/)
    const missing = wanted.filter((name) => !names.includes(name))
    if (missing.length > 0) throw new Error(`docs/${folder} has no page ${missing.join(', ')}`)
    const sorted = [...wanted, ...names.filter((name) => !wanted.includes(name))]
    return { folder, title, pages: sorted.map((name) => readPage(`${folder}/${name}`)) }
  })
}

function readPage(path: string): Page {
  const title = /^# (.+)$/m.exec(readFileSync(join(DOCS, `${path}.md`), 'utf8'))?.[1]
  if (title === undefined) throw new Error(`docs/${path}.md has no title`)
  return { path, title: title.replaceAll('`', '') }
}

/** Old paths and new ones, of pages that have moved. */
export function readMoved(): Readonly<Record<string, string>> {
  return JSON.parse(readFileSync(join(DOCS, 'moved.json'), 'utf8'))
}

export function pageExists(path: string): boolean {
  return existsSync(join(DOCS, `${path}.md`))
}
