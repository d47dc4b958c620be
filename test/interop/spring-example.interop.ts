/** The example with Spring Boot: its own command builds it, starts both services, and asks them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')

it('a token goes from Spring to Node.js, and is verified by both', async () => {
  const child = spawn(process.execPath, [join('examples', 'run', 'main.ts'), 'spring-neighbour'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
  })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  const output = Buffer.concat(chunks).toString()
  expect(output).toMatch(/✓ GET \S+\/orders without a token: 401/)
  expect(output).toMatch(/✓ GET \S+\/orders as alice: 200\n {2}\{"caller":"alice","profile":\{"caller":"alice"/)
  expect(output).not.toMatch(/eyJ[\w-]{8,}/)
  expect(code).toBe(0)
}, 600_000)
