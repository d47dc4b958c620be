/** The README of the benchmarks says what was measured, and has a place for each of the results. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Bar } from '../../benchmarks/support/chart.ts'
import { barChart } from '../../benchmarks/support/chart.ts'
import { quartiles } from '../../benchmarks/support/compare.ts'
import { readmeOf, replaced } from '../../benchmarks/support/readme.ts'
import { readResults } from '../../benchmarks/support/results.ts'
import { ROOT, readDocument } from './markdown.ts'

const readme = readDocument('benchmarks/README.md')

it('is what the results make of it', () => {
  expect(readmeOf(readme, readResults())).toBe(readme)
})

it('has results for each of its places', () => {
  const places = [...readme.matchAll(/^<!-- (\S+): begin -->$/gm)].map(([, name]) => name)
  expect(places.toSorted()).toEqual([...readResults().keys()].toSorted())
  expect(places.length).toBeGreaterThan(3)
})

it('shows pictures that are there', () => {
  const pictures = [...readme.matchAll(/!\[[^\]]*\]\((results\/[^)]+)\)/g)].map(([, path]) => path ?? '')
  const files = readdirSync(join(ROOT, 'benchmarks', 'results')).filter((file) => file.endsWith('.svg'))
  expect(pictures.toSorted()).toEqual(files.map((file) => `results/${file}`).toSorted())
})

it('no place is taken for another', () => {
  const text = '<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n'
  expect(replaced(text, 'a', 'new')).toBe(
    '<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n',
  )
  expect(() => replaced(text, 'c', 'new')).toThrow('the README has no place for c')
})

it('medians and quartiles are those of the values', () => {
  expect(quartiles([5, 1, 4, 2, 3])).toEqual([2, 3, 4])
  expect(quartiles([7])).toEqual([7, 7, 7])
})

it('bars are as long as their values, and texts cannot break out', () => {
  const bars: Bar[] = [1, 2].map((value) => ({ label: '<a> & b', value, text: `${value} ×`, isMine: value === 1 }))
  const svg = barChart('Title', bars, { value: 1, label: 'goal' })
  const widths = [...svg.matchAll(/<rect [^>]*width="(\d+)"/g)].map(([, width]) => Number(width))
  expect(widths[1]).toBe((widths[0] ?? 0) * 2)
  expect(svg).toContain('&lt;a> &amp; b')
})
