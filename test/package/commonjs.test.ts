/** The CommonJS build: what it contains and requires, its types, and a process in which it meets the ES modules. */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LoadingFolder } from '../support/loading.ts'
import { createLoadingFolder, LOADING } from '../support/loading.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'
import { PACKED, quietEnvironment } from './scratch.ts'

const COMMONJS = join(PACKED, 'dist', 'commonjs')
const { dependencies } = JSON.parse(readFileSync(join(PACKED, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const texts = readdirSync(COMMONJS, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.cjs'))
  .map((file) => readFileSync(join(COMMONJS, file), 'utf8'))
const required = new Set(
  texts.flatMap((text) => [...text.matchAll(/\brequire\("([^."][^"]*)"\)/g)].map(([, id]) => id)),
)

let place: LoadingFolder
beforeAll(() => {
  place = createLoadingFolder()
})
afterAll(() => place[Symbol.dispose]())

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): readonly (string | number | null)[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args], {
    cwd: place.folder,
    env: quietEnvironment({ OTEL_SDK_DISABLED: 'true', TOKEN_RELAY_LOG: 'off', ...env }),
    encoding: 'utf8',
  })
  return [status, stdout, stderr]
}

/** As in loaders that cannot require an ES module. */
const OLD = '--no-experimental-require-module'

it('requires only dependencies that can be required', () => {
  const names = Object.keys(dependencies).filter((name) => required.has(name))
  expect(names).toContain('lru-cache')
  place.write('all.cjs', names.map((name) => `require('${name}')`).join('\n'))
  expect(run([OLD, 'all.cjs'])).toEqual([0, '', ''])
})

it('has the licences of the others, which it contains', () => {
  const licences = readFileSync(join(COMMONJS, 'LICENSES.txt'), 'utf8')
  for (const name of ['cockatiel', 'jose', 'oauth4webapi', 'valibot']) {
    expect(required).not.toContain(name)
    expect(licences).toContain(`${name} ${dependencies[name]}\n`)
  }
  expect(licences.match(/Permission is hereby granted/g)).toHaveLength(4)
})

describe('two copies in one process', () => {
  it('have one relay, and its caller', () => {
    place.write('relay.json', JSON.stringify({ ...optionsFor([signer.jwk]), ingress: { mode: 'require' } }))
    place.write(
      'copies.mjs',
      `
      import { createRequire } from 'node:module'
      import * as imported from 'otel-token-relay'
      const required = createRequire(import.meta.url)('otel-token-relay')
      const { RELAY_OPTIONS, TOKEN } = process.env
      const isRefused = () => {
        try { imported.createTokenRelay(JSON.parse(RELAY_OPTIONS)) } catch (error) { return error.code }
      }
      const seen = await required.runWithToken(TOKEN, () => imported.getActiveCredential()?.subject)
      // Nothing of the copy that has no relay can be sent.
      const unseen = await imported.runWithToken(TOKEN, () => required.getActiveCredential()?.subject)
      console.log(
        required === imported, required.createTokenRelay === imported.createTokenRelay,
        required.getActiveRelay() === imported.getActiveRelay(), isRefused(), seen, unseen)`,
    )
    const env = {
      TOKEN_RELAY_CONFIG_FILE: 'relay.json',
      RELAY_OPTIONS: JSON.stringify(optionsFor([signer.jwk])),
      TOKEN: tokenOf(),
    }
    const result = run([OLD, '--require', 'otel-token-relay/register', 'copies.mjs'], env)
    expect(result).toEqual([0, 'false false true ERR_RELAY_ACTIVE alice undefined\n', ''])
  })
})

describe('types', () => {
  const tsc = join(
    dirname(createRequire(join(LOADING, 'package.json')).resolve('typescript/package.json')),
    'bin',
    'tsc',
  )
  const right = `
    import { createTokenRelay, getActiveRelay, TokenError, type VerifiedCredential } from 'otel-token-relay'
    import { authenticate } from 'otel-token-relay/koa'
    const relay = createTokenRelay({ issuers: [{ issuer: 'https://id.example', audience: null }] })
    const credential: Promise<VerifiedCredential> = relay.verify('a')
    const isReady: boolean | undefined = getActiveRelay()?.ready()
    const codeOf = (error: unknown): string | undefined => (error instanceof TokenError ? error.code : undefined)
    export { authenticate, codeOf, credential, isReady }`
  const wrong = `
    import { createTokenRelay } from 'otel-token-relay'
    createTokenRelay({ issuer: 'https://id.example' })`

  function compile(file: string, module: string): readonly (string | number | null)[] {
    const options = [
      '--ignoreConfig',
      '--strict',
      '--noEmit',
      '--skipLibCheck',
      '--target',
      'es2023',
      '--types',
      'node',
    ]
    return run([tsc, ...options, '--module', module, '--moduleResolution', module, file])
  }

  it.each(['node16', 'nodenext'])('of a CommonJS program, with module %s', (module) => {
    place.write('right.cts', right)
    place.write('wrong.cts', wrong)
    expect(compile('right.cts', module)).toEqual([0, '', ''])
    expect(compile('wrong.cts', module)[1]).toContain("'issuer' does not exist")
  })
})
