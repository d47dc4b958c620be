/** The story of docs/guides/from-spring.md: its code blocks run together, from the packed artifact, against a real ProfileService. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createScratch, quietEnvironment } from '../package/scratch.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { readBlocks, readDocument } from './markdown.ts'

const blocks = readBlocks(readDocument('docs/guides/from-spring.md'))
const folder = createScratch()
const children: ReturnType<typeof spawn>[] = []
let issuer: TestIssuer
let userService: string
let asked: { readonly method: string; readonly target: string; readonly authorization: string | undefined }[] = []
let answer: (response: ServerResponse, attempt: number) => void

const profileService = createServer((request: IncomingMessage, response) => {
  const { method = '', url: target = '', headers } = request
  asked.push({ method, target, authorization: headers.authorization })
  answer(response, asked.length)
})
const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

beforeAll(async () => {
  issuer = await startIssuer()
  const profiles = `http://127.0.0.1:${await listen(profileService)}`
  const placeholder = createServer()
  const port = await listen(placeholder)
  await close(placeholder)
  userService = `http://127.0.0.1:${port}`
  const programs = blocks.filter(({ file }) => file !== undefined)
  const localized = programs.map(({ file, text }) => [
    file,
    text
      .replaceAll('https://id.example.com', issuer.issuer)
      .replaceAll('https://profile.internal.example', profiles)
      .replaceAll('8080', String(port)),
  ])
  folder.write(Object.fromEntries(localized))
  children.push(
    spawn(process.execPath, ['user-service.mjs'], {
      cwd: folder.folder,
      env: quietEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit'],
    }),
  )
  await waitFor(async () => (await fetch(userService)).text())
})
afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  folder[Symbol.dispose]()
  await close(profileService)
  await issuer[Symbol.asyncDispose]()
})
beforeEach(() => {
  asked = []
  answer = (response) => json(response, 200, { name: 'Ada' })
})

async function user(token: string | undefined, userId = '42'): Promise<readonly [number, unknown]> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(`${userService}/users/${userId}`, { headers })
  const text = await response.text()
  return [response.status, text === '' ? undefined : JSON.parse(text)]
}

it('has a file for every block of this package’s side', () => {
  const ours = blocks.filter(({ language }) => !['java', 'yaml'].includes(language))
  expect(ours.map(({ file }) => file)).toEqual(['profile-client.mjs', 'user-service.mjs'])
})

it('requires the caller’s token, and sends it on', async () => {
  expect((await user(undefined))[0]).toBe(401)
  expect((await user(await issuer.token({ scope: 'mail' })))[0]).toBe(403)
  expect(asked).toEqual([])
  const token = await issuer.token()
  expect(await user(token)).toEqual([200, { name: 'Ada' }])
  expect(asked).toEqual([{ method: 'GET', target: '/profiles/42', authorization: `Bearer ${token}` }])
})

it('keeps a parameter in its place', async () => {
  expect((await user(await issuer.token(), '..%2f..%2fadmin'))[0]).not.toBe(200)
  expect(asked).toEqual([])
  await user(await issuer.token(), 'a%2fb')
  expect(asked.map(({ target }) => target)).toEqual(['/profiles/a%2Fb'])
})

it('retries temporary failures as the same caller, and falls back after permanent ones', async () => {
  const token = await issuer.token({ sub: 'bob' })
  answer = (response, attempt) => (attempt < 3 ? json(response, 503, {}) : json(response, 200, { name: 'Bob' }))
  expect(await user(token)).toEqual([200, { name: 'Bob' }])
  answer = (response) => json(response, 503, {})
  expect(await user(token)).toEqual([200, { name: 'unknown' }])
  expect(asked.map(({ authorization }) => authorization)).toEqual(Array.from({ length: 6 }, () => `Bearer ${token}`))
})

it('passes a refusal on to the caller, with its code and without a body', async () => {
  const challenge = 'Bearer error="insufficient_scope", scope="profiles:secret"'
  answer = (response) => json(response, 403, { secret: 'body' }, { 'www-authenticate': challenge })
  expect(await user(await issuer.token())).toEqual([403, { code: 'ERR_SERVICE_SCOPE' }])
  expect(asked).toHaveLength(1)
})

it('waits for a service that does not answer, for the configured time', async () => {
  const held: ServerResponse[] = []
  answer = (response) => held.push(response)
  expect(await user(await issuer.token())).toEqual([200, { name: 'unknown' }])
  for (const response of held) response.destroy()
})

it('stops calling a service that is down', async () => {
  answer = (response) => json(response, 500, {})
  const token = await issuer.token()
  await waitFor(async () => {
    const before = asked.length
    await user(token)
    expect(asked.length).toBe(before)
  })
  expect(asked.length).toBeGreaterThan(0)
})
