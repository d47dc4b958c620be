/** The README of the benchmarks says what was measured, and has a place for each of the results. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ratioOf, spreadOf } from '../../benchmarks/chain/sets.ts'
import type { Bar } from '../../benchmarks/support/chart.ts'
import { barChart } from '../../benchmarks/support/chart.ts'
import { quartiles } from '../../benchmarks/support/compare.ts'
import { readmeOf, replaced } from '../../benchmarks/support/readme.ts'
import { readResults } from '../../benchmarks/support/results.ts'
import { ROOT, readDocument } from './markdown.ts'

const readme = readDocument('benchmarks/README.md')

it('is generated from the results', () => {
  expect(readmeOf(readme, readResults())).toBe(readme)
})

it('has results for each of its placeholders, or nothing there', () => {
  const places = [...readme.matchAll(/^<!-- (\S+): begin -->(?!\n<!-- \S+: end -->)/gm)].map(([, name]) => name)
  expect(places.toSorted()).toEqual([...readResults().keys()].toSorted())
  expect(places.length).toBeGreaterThan(3)
})

it('shows pictures that exist', () => {
  const pictures = [...readme.matchAll(/!\[[^\]]*\]\((results\/[^)]+)\)/g)].map(([, path]) => path ?? '')
  const files = readdirSync(join(ROOT, 'benchmarks', 'results')).filter((file) => file.endsWith('.svg'))
  expect(pictures.toSorted()).toEqual(files.map((file) => `results/${file}`).toSorted())
})

it('no placeholder is mistaken for another', () => {
  const text = '<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n'
  expect(replaced(text, 'a', 'new')).toBe(
    '<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n<!-- b: begin -->\n<!-- b: end -->\n',
  )
  expect(() => replaced(text, 'c', 'new')).toThrow('the README has no place for c')
})

it('medians and quartiles are computed from the values', () => {
  expect(quartiles([5, 1, 4, 2, 3])).toEqual([2, 3, 4])
  expect(quartiles([7])).toEqual([7, 7, 7])
})

it('the spread of slices is how far the quartiles of their p50 are apart, as a part of the median', () => {
  const slices = [96, 98, 100, 103, 105].map((p50) => ({ p50, cpu: 1 }))
  expect(spreadOf(slices)).toBeCloseTo(0.05)
  expect(spreadOf([])).toBeNaN()
})

it('ratios are those of what was measured in the same round', () => {
  expect(ratioOf([2, 30, 400], [1, 10, 100])).toEqual({ low: 2, median: 3, high: 4 })
})

it('bars are as long as their values, and texts are escaped', () => {
  const bars: Bar[] = [1, 2].map((value) => ({ label: '<a> & b', value, text: `${value} ×`, isMine: value === 1 }))
  const svg = barChart('Title', bars, { value: 1, label: 'goal' })
  const widths = [...svg.matchAll(/<rect [^>]*width="(\d+)"/g)].map(([, width]) => Number(width))
  expect(widths[1]).toBe((widths[0] ?? 0) * 2)
  expect(svg).toContain('&lt;a> &amp; b')
})
