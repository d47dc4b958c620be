/** Bars as SVG, in colours that can be read on light and dark pages. */

export interface Bar {
  readonly label: string
  readonly value: number
  /** What is written at its end. */
  readonly text: string
  readonly isMine: boolean
}

const [WIDTH, LABEL, ROW, TOP] = [860, 330, 24, 44]
/** Longest bar, leaving room for its text. */
const LENGTH = WIDTH - LABEL - 150

/** `mark` is drawn as a line across: the goal, or the baseline. */
export function barChart(
  title: string,
  bars: readonly Bar[],
  mark: { readonly value: number; readonly label: string },
): string {
  const longest = Math.max(mark.value, ...bars.map(({ value }) => value))
  const scale = (value: number): number => Math.round((value / longest) * LENGTH)
  const rows = bars.map(({ label, value, text, isMine }, i) => {
    const y = TOP + i * ROW
    return [
      `<text x="${LABEL - 8}" y="${y + 15}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${LABEL}" y="${y + 3}" width="${Math.max(1, scale(value))}" height="${ROW - 8}" fill="${isMine ? '#3b82c4' : '#8a94a0'}"/>`,
      `<text x="${LABEL + scale(value) + 6}" y="${y + 15}">${escaped(text)}</text>`,
    ].join('')
  })
  const [height, x] = [TOP + bars.length * ROW + 12, LABEL + scale(mark.value)]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#6b7280">`,
    `<title>${escaped(title)}</title>`,
    `<text x="8" y="18" font-size="14" font-weight="bold">${escaped(title)}</text>`,
    ...rows,
    `<line x1="${x}" x2="${x}" y1="${TOP - 8}" y2="${height - 8}" stroke="#c2410c" stroke-dasharray="4 3"/>`,
    `<text x="${x}" y="${TOP - 12}" text-anchor="middle" fill="#c2410c">${escaped(mark.label)}</text>`,
    '</svg>\n',
  ].join('\n')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
