/** The Dockerfile: two stages, nothing of development in the second, no root, and a health check that tells. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { expect, it } from 'vitest'
import { startService } from '../../examples/demo/stage/services.ts'
import { ROOT, readDocument } from '../docs/markdown.ts'
import { freePorts } from '../support/brokers.ts'
import { startIssuer } from '../support/issuer.ts'

interface Instruction {
  readonly word: string
  readonly rest: string
}

const stages: readonly (readonly Instruction[])[] = readDocument('deploy/Dockerfile')
  .replaceAll(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ word: line.split(' ', 1)[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }))
  .reduce<Instruction[][]>((found, instruction) => {
    if (instruction.word === 'FROM') found.push([])
    found.at(-1)?.push(instruction)
    return found
  }, [])
const [, last = []] = stages
const all = (word: string): readonly string[] => last.filter((each) => each.word === word).map(({ rest }) => rest)

it('has two stages, and the second installs what runs only', () => {
  expect(stages).toHaveLength(2)
  const runs = all('RUN')
  expect(runs).toHaveLength(1)
  expect(runs[0]).toMatch(/^npm install --omit=dev --ignore-scripts /)
  expect(all('COPY').filter((from) => from.startsWith('. '))).toEqual([])
})

it('runs as a user without rights, with everything below owned by root', () => {
  const words = last.map(({ word }) => word)
  expect(all('USER')).toEqual(['node'])
  expect(words.lastIndexOf('USER')).toBeGreaterThan(words.lastIndexOf('RUN'))
  expect(words.lastIndexOf('USER')).toBeGreaterThan(words.lastIndexOf('COPY'))
  expect(all('COPY').filter((copied) => copied.includes('--chown'))).toEqual([])
})

it('copies files that exist, and that .dockerignore leaves in', () => {
  const copied = all('COPY')
    .filter((each) => !each.startsWith('--from'))
    .map((each) => each.split(' ')[0] ?? '')
  const ignored = readDocument('.dockerignore').trim().split('\n')
  expect(copied.length).toBeGreaterThan(0)
  for (const path of copied) {
    expect(existsSync(join(ROOT, path))).toBe(true)
    expect(ignored.filter((each) => path === each || path.startsWith(`${each}/`))).toEqual([])
  }
  // npm ci looks at the manifests of the workspaces.
  const { workspaces } = JSON.parse(readDocument('package.json')) as { readonly workspaces: readonly string[] }
  for (const folder of workspaces) expect(ignored).toContain(`!${folder}/package.json`)
})

it('installs all that the services load, in the versions that the tests have', () => {
  const { dependencies } = JSON.parse(readDocument('deploy/image/package.json')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const { devDependencies } = JSON.parse(readDocument('package.json')) as {
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const { 'otel-token-relay': own, ...others } = dependencies
  expect(own).toBe('file:otel-token-relay.tgz')
  expect(Object.entries(others).filter(([name, version]) => devDependencies[name] !== version)).toEqual([])
  const folder = join(ROOT, 'examples', 'demo', 'services')
  const loaded = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]js$/.test(name))
    .flatMap((name) => [...readFileSync(join(folder, name), 'utf8').matchAll(/(?:from |require\()'([^'.][^']*)'/g)])
    .map(([, name = '']) => name)
    .filter((name) => !name.startsWith('node:'))
    .map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? '')
  expect(loaded.filter((name) => !(name in dependencies))).toEqual([])
})

/** The exit code of the health check, for a service on `port`. */
async function checkHealth(port: number): Promise<number | null> {
  const [check = ''] = all('HEALTHCHECK')
  const [program, ...args] = JSON.parse(check.slice(check.indexOf('CMD ') + 4)) as string[]
  expect(program).toBe('node')
  const child = spawn(process.execPath, args, { env: { PORT: String(port) }, stdio: 'ignore' })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

it('the health check tells a service that answers from one that does not, without a token and without an issuer', async () => {
  await using issuer = await startIssuer()
  issuer.setDown(true)
  const [port = 0] = await freePorts(1)
  const service = await startService({
    name: 'user-service',
    file: 'user-service/server.cjs',
    env: {
      PORT: String(port),
      OTEL_SDK_DISABLED: 'true',
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/health',
    },
  })
  expect(await checkHealth(port)).toBe(0)
  await service[Symbol.asyncDispose]()
  expect(await checkHealth(port)).toBe(1)
})

it('starts a program that exists', () => {
  const [command = '[]'] = all('CMD')
  const file = (JSON.parse(command) as readonly string[]).at(-1) ?? ''
  expect(existsSync(join(ROOT, 'examples', 'demo', 'services', file))).toBe(true)
})
