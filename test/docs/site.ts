/** The built site on the loopback interface, as its host serves it, and a real Chromium to look at it. */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import process from 'node:process'
import { close, listen } from '../support/issuer.ts'
import { ROOT } from './markdown.ts'

/** Where the browser is, if it is. */
const CHROMIUM = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()

/** Whether the site can be looked at here. In CI it must: there a missing browser is a failure, not a skip. */
export const HAS_CHROMIUM: boolean = process.env['CI'] !== undefined || CHROMIUM !== ''

export const BROWSER = { executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] }

const BASE = '/otel-token-relay/'
const DOCS = join(ROOT, 'docs')

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.md': 'text/markdown; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml',
}

export interface Site extends AsyncDisposable {
  /** With a slash at its end. */
  readonly address: string
  /** Below the address, without `.html`, the home page as the empty text. */
  readonly pages: readonly string[]
  read(path: string): string
}

/** Builds the site from the pages and the source, and serves it. */
export async function startSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'site-'))
  const run = (file: string, ...args: readonly string[]) =>
    execFileSync(process.execPath, [join(ROOT, file), ...args], { cwd: DOCS, stdio: 'pipe' })
  run('docs/node_modules/typedoc/bin/typedoc')
  run('node_modules/vitepress/bin/vitepress.js', 'build', '--outDir', folder)
  const server = createServer(({ url = '' }, response) => answer(folder, new URL(url, 'http://a').pathname, response))
  const address = `http://127.0.0.1:${await listen(server)}${BASE}`
  const pages = htmlBelow(folder, '')
  return {
    address,
    pages: pages.map((page) => page.replace(/(^|(?<=\/))index$/, '')),
    read: (path) => readFileSync(join(folder, path), 'utf8'),
    async [Symbol.asyncDispose]() {
      await close(server)
      rmSync(folder, { recursive: true })
    },
  }
}

/** As GitHub Pages: with or without the ending, `index.html` for a folder, `404.html` for what is not there. */
function answer(folder: string, path: string, response: ServerResponse): void {
  const name = decodeURIComponent(path.slice(BASE.length))
  const candidates = path.startsWith(BASE) ? [name, `${name}.html`, join(name, 'index.html')] : []
  const file = candidates.map((each) => join(folder, each)).find((each) => existsSync(each) && statSync(each).isFile())
  const found = file ?? join(folder, '404.html')
  response.writeHead(file === undefined ? 404 : 200, {
    'content-type': TYPES[extname(found)] ?? 'application/octet-stream',
  })
  response.end(readFileSync(found))
}

function htmlBelow(folder: string, path: string): readonly string[] {
  return readdirSync(join(folder, path), { withFileTypes: true }).flatMap((entry) => {
    const name = path === '' ? entry.name : `${path}/${entry.name}`
    if (entry.isDirectory()) return htmlBelow(folder, name)
    return name.endsWith('.html') && name !== '404.html' ? [name.replace(/\.html$/, '')] : []
  })
}
