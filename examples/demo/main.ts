/** `npm run demo [-- --serve] [-- --traffic] [-- --picture FILE]`: a story about tokens, played by real processes and checked as it is told. */

import { writeFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { interruption } from './stage/interruption.ts'
import { startPage } from './stage/page.ts'
import type { Titled } from './stage/picture.ts'
import { renderPicture } from './stage/picture.ts'
import {
  print,
  printInvitation,
  printLegend,
  printPart,
  printStage,
  printTrace,
  printVerdict,
  traceOf,
} from './stage/report.ts'
import type { Stage } from './stage/stage.ts'
import { setStage } from './stage/stage.ts'
import type { Part } from './stage/story.ts'
import { EXCHANGE, ORDER, playStory, REDIRECT } from './stage/story.ts'
import { makeTraffic } from './stage/traffic.ts'

const { serve, traffic, picture } = parseArgs({
  options: {
    serve: { type: 'boolean', default: false },
    traffic: { type: 'boolean', default: false },
    picture: { type: 'string' },
  },
}).values
const interrupted = interruption()
const stack = new AsyncDisposableStack()

// Until the story has been told, and was as it should be.
process.exitCode = 1
try {
  await Promise.race([demo(), interrupted])
} catch (error) {
  print('', error instanceof Error ? error.message : 'The demo failed.')
} finally {
  await stack.disposeAsync()
  // An interrupted story may still be waiting for something.
  process.exit()
}

async function demo(): Promise<void> {
  const stage = await setStage(stack)
  printStage(stage)

  const parts: Part[] = []
  for await (const part of playStory(stage)) {
    parts.push(part)
    printPart(part, parts.length)
  }
  const [exchange, order, redirect] = [EXCHANGE, ORDER, REDIRECT].map((title) =>
    parts.find((part) => part.title === title),
  )
  for (const part of [exchange, order, redirect]) if (part !== undefined) printTrace(stage, part)
  printLegend(stage)
  if (picture !== undefined)
    writeFileSync(picture, renderPicture([exchange, redirect].flatMap((part) => titled(stage, part))))
  if (printVerdict(parts)) process.exitCode = 0

  if (!serve && !traffic)
    return print('', 'npm run demo -- --serve keeps it running, for curl and a look at the traces.')
  const titles = new Map(parts.map(({ traceId, title }) => [traceId ?? '', title]))
  printInvitation(stage, stack.use(await startPage(stage, titles)), redirect)
  if (!traffic) return interrupted
  const ended = new AbortController()
  await Promise.race([makeTraffic(stage, ended.signal), interrupted])
  ended.abort()
}

function titled(stage: Stage, part: Part | undefined): readonly Titled[] {
  const trace = part === undefined ? undefined : traceOf(stage, part)
  return part === undefined || trace === undefined ? [] : [{ title: part.title, trace }]
}
