/** Runs the packed command line as a process, in the folder of an application that has what a test says. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'

const ROOT = join(import.meta.dirname, '..', '..')
const PACKAGE = join(ROOT, 'test', 'otel-3', 'node_modules', 'otel-token-relay')
const PEERS = ['api', 'context-async-hooks', 'sdk-node', 'instrumentation-http', 'instrumentation-undici']

export interface Application {
  readonly folder: string
  /** Writes a file, with the folders above it. */
  write(path: string, text: string): string
  /** Installs what is at `target` as a package, as workspaces are. */
  link(name: string, target: string): void
  [Symbol.dispose](): void
}

/** A folder with the packed artifact and its peers installed, as links; without those of `missing`. */
export function createApplication(missing: readonly string[] = []): Application {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-application-'))
  const link = (name: string, target: string): void => {
    const path = join(folder, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path)
  }
  link('otel-token-relay', PACKAGE)
  for (const name of PEERS.map((peer) => `@opentelemetry/${peer}`).filter((peer) => !missing.includes(peer))) {
    link(name, join(ROOT, 'node_modules', name))
  }
  return {
    folder,
    link,
    write(path, text) {
      const whole = join(folder, path)
      mkdirSync(dirname(whole), { recursive: true })
      writeFileSync(whole, text)
      return whole
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export interface CommandOptions {
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Behind `--`. */
  readonly program?: readonly string[]
}

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

interface JsonCheck {
  readonly id: string
  readonly section: string
  readonly status: string
  readonly text: string
  readonly advice?: string
}

/** Not `spawnSync`: the issuers of a test are in this process, and must go on answering. */
export async function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { bin } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>
  }
  const program = join(PACKAGE, bin['otel-token-relay'] ?? '')
  const behind = options.program === undefined ? [] : ['--', ...options.program]
  const child = spawn(process.execPath, [program, ...args, ...behind], {
    cwd: options.folder ?? join(ROOT, 'test', 'otel-3'),
    env: { PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, OTEL_TRACES_EXPORTER: 'none', ...options.env },
    stdio: 'pipe',
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // A command that ends before it has read its input closes the pipe.
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stdout, stderr }
}

/** The checks of `--json`, by their ids. */
export async function checksOf(args: readonly string[], options: CommandOptions = {}) {
  const result = await runCommand([...args, '--json'], options)
  const { checks, ...rest } = JSON.parse(result.stdout) as { readonly checks: readonly JsonCheck[] } & Record<
    string,
    unknown
  >
  return {
    ...rest,
    ...result,
    code: rest['code'],
    provider: rest['provider'],
    checks,
    find: (id: string) => checks.filter((check) => check.id === id),
  }
}
