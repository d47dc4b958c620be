/** The README can be read in five minutes, and what it shows first works in a project that has only installed the package. */

import { expect, it } from 'vitest'
import { commandsOf, isFile, kindOf } from './blocks.ts'
import { readBlocks, readDocument } from './markdown.ts'

const readme = readDocument('README.md')
const blocks = readBlocks(readme)

it('has at most 9 KB', () => {
  expect(Buffer.byteLength(readme)).toBeLessThanOrEqual(9216)
})

it('installs the package, shows a program of at most twelve lines, starts it, and asks it', () => {
  const [install, program, start, ask] = blocks
  expect(install && commandsOf(install).map(kindOf)).toEqual(['install'])
  expect(program && isFile(program)).toBe(true)
  expect(program?.text.trim().split('\n').length).toBeLessThanOrEqual(12)
  expect(start && commandsOf(start).map((command) => command.split(' ').at(-1))).toEqual([program?.file])
  expect(ask && commandsOf(ask).map(kindOf)).toEqual(['request', 'request'])
})

it('has the commands of a clone under "Try it" only', () => {
  const [before = '', after = ''] = readme.split('\n## Try it\n')
  expect([before.includes('npm ci'), after.split('\n## ')[0]?.includes('npm ci && npm run demo')]).toEqual([
    false,
    true,
  ])
})
