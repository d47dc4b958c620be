/** Packs the package and unpacks it where applications would have it: once per OpenTelemetry line, and in `loading`. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export function setup(): void {
  const work = mkdtempSync(join(tmpdir(), 'otel-token-relay-'))
  const name = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', work], {
    cwd: root,
    encoding: 'utf8',
  }).trim()
  for (const line of ['otel-2', 'otel-3']) {
    const application = join(root, 'test', line)
    install(join(work, name), join(application, 'node_modules', 'otel-token-relay'))
    cpSync(join(root, 'test', 'programs'), join(application, 'programs'), { recursive: true })
  }
  install(join(work, name), join(root, 'test', 'loading', 'node_modules', 'otel-token-relay'))
  rmSync(work, { recursive: true, force: true })
}

/** Unpacks the tarball unless this very one is there already. */
function install(tarball: string, folder: string): void {
  const digest = createHash('sha256').update(readFileSync(tarball)).digest('hex')
  const marker = join(folder, '..', '.otel-token-relay-digest')
  if (existsSync(folder) && existsSync(marker) && readFileSync(marker, 'utf8') === digest) return
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1'])
  writeFileSync(marker, digest)
}
