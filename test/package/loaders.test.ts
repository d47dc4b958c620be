/** Programs that other tools compile, bundle, watch or start: behind the gate, with their caller's token where it goes. */

import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LoadingFolder } from '../support/loading.ts'
import { createLoadingFolder, LOADING, PROGRAMS } from '../support/loading.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const token = tokenOf()
const resolve = createRequire(join(LOADING, 'package.json')).resolve

let sink: Sink
let place: LoadingFolder
let folder: string
let options: string
let preloaded: Record<string, string>
beforeAll(async () => {
  sink = await startSink()
  place = createLoadingFolder()
  folder = place.folder
  options = JSON.stringify({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: sink.origin }],
    ingress: { mode: 'require' },
  })
  preloaded = { SINK: sink.origin, TOKEN_RELAY_CONFIG_FILE: place.write('relay.json', options) }
})
beforeEach(() => sink.clear())
afterAll(async () => {
  place[Symbol.dispose]()
  await sink[Symbol.asyncDispose]()
})

async function answers(port: number): Promise<readonly (number | string)[]> {
  const refused = await fetch(`http://127.0.0.1:${port}/`)
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token}` } })
  return [refused.status, answer.status, await answer.text()]
}

const sentTokens = (): readonly string[] => sink.received.flatMap(({ authorization }) => authorization)

/** The relay is at work in `program`. */
async function expectRelay(program: string, given: Parameters<typeof startProgram>[1]): Promise<void> {
  await using started = startProgram(program, { folder, ...given })
  expect(await answers(await started.report<number>('port'))).toEqual([401, 200, 'alice'])
  expect(sentTokens()).toEqual([`Bearer ${token}`])
}

const REGISTER = 'otel-token-relay/register'

describe('a program in TypeScript', () => {
  beforeAll(() => {
    for (const name of ['service.ts', 'service.mts', 'service.cts']) {
      copyFileSync(join(PROGRAMS, 'service.ts'), join(folder, 'programs', name))
    }
  })

  it.each([
    ['Node.js itself', 'service.mts', ['--import', REGISTER]],
    ['tsx, as CommonJS', 'service.ts', ['--import', 'tsx', '--import', REGISTER]],
    ['tsx, as an ES module', 'service.mts', ['--import', 'tsx', '--import', REGISTER]],
    ['tsx after register', 'service.ts', ['--require', REGISTER, '--import', 'tsx']],
    ['swc-node, as CommonJS', 'service.ts', ['--require', '@swc-node/register', '--require', REGISTER]],
    ['swc-node, as an ES module', 'service.mts', ['--import', '@swc-node/register/esm-register', '--import', REGISTER]],
  ])('%s', async (_, program, preload) => {
    await expectRelay(program, { preload, env: preloaded })
  })

  it.each(['service.cts', 'service.mts'])('tsx: %s creates its relay', async (program) => {
    await expectRelay(program, { preload: ['--import', 'tsx'], env: { SINK: sink.origin, RELAY_OPTIONS: options } })
  })
})

describe('a program in one bundle', () => {
  const source = join(PROGRAMS, 'service.ts')

  function bundleWithEsbuild(name: string, format: string): void {
    const outfile = join(folder, 'programs', name)
    // An ES module has no `require` for the dependencies that are CommonJS.
    const banner = "import { createRequire as from } from 'node:module'; const require = from(import.meta.url)"
    const args = ['--bundle', '--platform=node', '--log-level=error', `--format=${format}`, `--outfile=${outfile}`]
    if (format === 'esm') args.push(`--banner:js=${banner}`)
    const { status, stderr } = spawnSync(resolve('esbuild/bin/esbuild'), [source, ...args], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }

  async function bundleWithRolldown(name: string, format: 'cjs' | 'esm'): Promise<void> {
    const bundle = await rolldown({ input: source, platform: 'node', logLevel: 'silent' })
    await bundle.write({ file: join(folder, 'programs', name), format, codeSplitting: false })
    await bundle.close()
  }

  beforeAll(async () => {
    bundleWithEsbuild('esbuild.cjs', 'cjs')
    bundleWithEsbuild('esbuild.mjs', 'esm')
    await bundleWithRolldown('rolldown.cjs', 'cjs')
    await bundleWithRolldown('rolldown.mjs', 'esm')
  })
  const BUNDLES = ['esbuild.cjs', 'esbuild.mjs', 'rolldown.cjs', 'rolldown.mjs']

  it.each(BUNDLES)('%s creates its relay', async (program) => {
    await expectRelay(program, { env: { SINK: sink.origin, RELAY_OPTIONS: options } })
  })

  it.each(BUNDLES)('%s works with the relay that is preloaded, from the package', async (program) => {
    await expectRelay(program, { preload: ['--require', REGISTER], env: preloaded })
  })

  it.each(BUNDLES)('%s has one copy of the package', (program) => {
    const text = readFileSync(join(folder, 'programs', program), 'utf8')
    expect(text.match(/function createTokenRelay\(/g)).toHaveLength(1)
  })
})

it('node --watch starts the changed program with its relay', async () => {
  const path = join(folder, 'programs', 'watched.mts')
  copyFileSync(join(PROGRAMS, 'service.ts'), path)
  await using program = startProgram('watched.mts', {
    folder,
    preload: ['--watch', '--import', REGISTER],
    env: preloaded,
  })
  const first = await program.report<number>('port')
  expect(await answers(first)).toEqual([401, 200, 'alice'])
  const changed = readFileSync(path, 'utf8').replace('{ port })', '{ secondPort: port })')
  writeFileSync(path, changed)
  expect(await answers(await program.report<number>('secondPort'))).toEqual([401, 200, 'alice'])
  await program.stop()
})

describe('pm2', () => {
  const service = { name: 'service', script: join(PROGRAMS, 'clustered.cjs') }

  /** `env` is the environment of pm2 itself. */
  function startPm2(app: object, env: Readonly<Record<string, string>> = {}): Program {
    copyFileSync(join(PROGRAMS, 'pm2.cjs'), join(folder, 'programs', 'pm2.cjs'))
    const home = { HOME: folder, PM2_HOME: join(folder, '.pm2') }
    return startProgram('pm2.cjs', { folder, env: { ...home, APP: JSON.stringify({ ...service, ...app }), ...env } })
  }

  it('in a cluster, node_args preload the relay, which pm2’s own environment configures', async () => {
    await using program = startPm2({ exec_mode: 'cluster', node_args: ['--require', REGISTER] }, preloaded)
    expect(await answers(await program.report<number>('port'))).toEqual([401, 200, 'alice'])
    await program.stop()
  })

  it('in a cluster, variables in env come too late: the application does not start', async () => {
    await using program = startPm2({ exec_mode: 'cluster', node_args: ['--require', REGISTER], env: preloaded })
    expect(await program.report('exited')).toBe(true)
    expect(program.reported).not.toHaveProperty('port')
    await program.stop()
  })

  it('in a cluster, NODE_OPTIONS in env come too late: there is no gate', async () => {
    const env = { ...preloaded, NODE_OPTIONS: `--require ${REGISTER}` }
    await using program = startPm2({ exec_mode: 'cluster', env })
    expect(await answers(await program.report<number>('port'))).toEqual([200, 200, 'undefined'])
    await program.stop()
  })

  it('without a cluster, env configures and preloads the relay', async () => {
    const env = { ...preloaded, NODE_OPTIONS: `--require ${REGISTER}` }
    await using program = startPm2({ exec_mode: 'fork', env })
    expect(await answers(await program.report<number>('port'))).toEqual([401, 200, 'alice'])
    await program.stop()
  })
})

it('@socket.io/sticky: the primary process lives, and its workers answer', async () => {
  copyFileSync(join(PROGRAMS, 'sticky.cjs'), join(folder, 'programs', 'sticky.cjs'))
  await using program = startProgram('sticky.cjs', { folder, preload: ['--require', REGISTER], env: preloaded })
  const port = await program.report<number>('port')
  for (let i = 0; i < 2; i += 1) expect(await answers(port)).toEqual([401, 200, 'handled'])
  expect(program.stderr()).not.toContain('Error')
  await program.stop()
})
