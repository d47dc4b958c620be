/** Tables in Markdown, and how numbers are written in them. */

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

export function times(ratio: number, digits = 2): string {
  return `${ratio.toFixed(digits)} ×`
}

export function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`
}

/** One line with the options of the run. */
export function settingsOf(results: Readonly<Record<string, unknown>>): string {
  const settings = Object.entries(results['settings'] as Readonly<Record<string, unknown>>)
  return `Settings: ${settings.map(([name, value]) => `${name} ${String(value)}`).join(', ')}.`
}
