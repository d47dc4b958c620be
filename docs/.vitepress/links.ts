/** Links of the pages: those that lead out of `docs` go to the repository, so that they work there and on the site. */

import { existsSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { API, DOCS } from './sections.ts'

const REPOSITORY = 'https://github.com/otel-token-relay/otel-token-relay'

/** The address of the repository for a relative link of `page` that leads out of `docs`; else the link itself. */
export function outward(link: string, page: string): string {
  if (/^([a-z]+:|#|\/)/i.test(link)) return link
  const [path = '', anchor] = link.split('#')
  const folder = posix.join('docs', posix.dirname(page))
  // TypeDoc keeps the links of comments, which are relative to the folder above its own.
  const above = posix.join(folder, '..', path)
  if (folder === `docs/${API}` && !exists(posix.join(folder, path)) && exists(above)) return `../${link}`
  const target = posix.join(folder, path)
  if (target.startsWith('docs/') && /\.md$/.test(target) && !isFolder(target)) return link
  const kind = isFolder(target) ? 'tree' : 'blob'
  return `${REPOSITORY}/${kind}/main/${target}${anchor === undefined ? '' : `#${anchor}`}`
}

function exists(path: string): boolean {
  return existsSync(join(DOCS, '..', path))
}

function isFolder(path: string): boolean {
  return exists(path) && statSync(join(DOCS, '..', path)).isDirectory()
}
