/** Runs the programs of docs/guides/other-languages*.md, in Python with jwcrypto and joserfc, and in Java with Nimbus. */

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { JWK } from 'jose'
import type { Block } from '../../docs/markdown.ts'
import { ROOT } from '../../docs/markdown.ts'

const CACHE = join(ROOT, 'node_modules', '.cache', 'otel-token-relay')
const PYTHON_PACKAGES = ['jwcrypto==1.6.1', 'joserfc==1.8.0', 'redis==6.4.0']
const NIMBUS = '10.4'

/** A message, as a consumer gets it. */
export interface ForeignMessage {
  readonly authorization: string
  readonly traceparent?: string
  readonly source: string
  /** When it is read, in seconds; now, if absent. */
  readonly now?: number
}

interface Task {
  readonly keys?: readonly JWK[]
  readonly messages?: readonly ForeignMessage[]
  readonly seal?: readonly {
    readonly token: string
    readonly token_exp: number
    readonly destination: string
    readonly trace: string | null
    readonly key: JWK
    readonly producer: string
  }[]
  readonly count?: readonly {
    readonly url: string
    readonly kid: string
    readonly sealed: string
    readonly exp: number
  }[]
}

interface Outcome {
  /** The token of each message, or `refused`. */
  readonly opened: readonly string[]
  readonly sealed: readonly string[]
  readonly counted: readonly number[]
}

export interface ForeignPrograms {
  readonly run: (task: Task) => Outcome
  [Symbol.dispose](): void
}

export function preparePython(blocks: readonly Block[]): ForeignPrograms {
  const venv = join(CACHE, `python-${PYTHON_PACKAGES.join('-')}`)
  const python = join(venv, 'bin', 'python')
  if (!existsSync(join(venv, 'complete'))) {
    execute('python3', ['-m', 'venv', '--clear', venv])
    execute(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PYTHON_PACKAGES])
    writeFileSync(join(venv, 'complete'), '')
  }
  return prepare('driver.py', blocks, (folder) => [python, join(folder, 'driver.py')])
}

export function prepareJava(blocks: readonly Block[]): ForeignPrograms {
  const jar = join(CACHE, `nimbus-jose-jwt-${NIMBUS}.jar`)
  if (!existsSync(jar)) {
    const artifact = `-Dartifact=com.nimbusds:nimbus-jose-jwt:${NIMBUS}:jar`
    execute('mvn', ['-q', '-B', 'dependency:copy', artifact, `-DoutputDirectory=${CACHE}`])
  }
  return prepare('Driver.java', blocks, (folder) => {
    execute('javac', ['-cp', jar, '-d', folder, join(folder, 'Sealed.java'), join(folder, 'Driver.java')])
    return ['java', '-cp', `${jar}:${folder}`, 'Driver']
  })
}

function prepare(
  driver: string,
  blocks: readonly Block[],
  commandIn: (folder: string) => readonly string[],
): ForeignPrograms {
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(tmpdir(), 'sealed-'))
  for (const { file = '', text } of blocks) writeFileSync(join(folder, file), text)
  copyFileSync(join(import.meta.dirname, driver), join(folder, driver))
  const [command = '', ...args] = commandIn(folder)
  return {
    run: (task) => JSON.parse(execute(command, args, JSON.stringify(task))) as Outcome,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function execute(command: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: 'utf8', env: process.env })
  if (status === 0) return stdout
  throw new Error(`${command} failed (Python 3.11, Java 17 and Maven are needed here):\n${stderr}`, { cause: error })
}
