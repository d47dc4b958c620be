/** Runs every case with every client, and writes the table. */

import type { Program } from '../support/process.ts'
import type { Bench, Client } from './bench.ts'
import type { Case } from './cases.ts'
import { CASES } from './cases.ts'

/** What came out, by client and case; a case that does not apply is not in it. */
export type Outcome = ReadonlyMap<string, ReadonlyMap<string, string>>

/** Clients that are tried at the same time. Each goes through its cases one after the other. */
const WORKERS = 6

/** Tries `clients`, or those that the program has. */
export async function runMatrix(
  bench: Bench,
  program: Program,
  isTried: (client: Client) => boolean = () => true,
): Promise<Outcome> {
  const [all, port] = [await clientsOf(program), await program.report<number>('port')]
  const clients = all.filter(isTried)
  const outcome = new Map<string, Map<string, string>>(clients.map(({ name }) => [name, new Map()]))
  const queue = [...clients]
  async function work(): Promise<void> {
    for (let client = queue.shift(); client !== undefined; client = queue.shift()) {
      for (const each of applicable(client)) {
        outcome.get(client.name)?.set(each.name, await each.run({ bench, port }, client))
      }
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, work))
  return outcome
}

export function clientsOf(program: Program): Promise<readonly Client[]> {
  return program.report<readonly Client[]>('clients')
}

/** What must come out. */
export function expectedOutcome(clients: readonly Client[]): Outcome {
  return new Map(
    clients.map((client) => [
      client.name,
      new Map(applicable(client).map((each) => [each.name, each.expected(client)])),
    ]),
  )
}

function applicable(client: Client): readonly Case[] {
  return CASES.filter(({ inapplicable }) => inapplicable?.(client) === undefined)
}

/** `same` where `other` says the same as `outcome` about `client`, else what it says. */
function compared(name: string, outcome: Outcome, other: Outcome): string {
  const different = [...(other.get(name) ?? [])].filter(
    ([column, verdict]) => outcome.get(name)?.get(column) !== verdict,
  )
  return different.length === 0 ? 'same' : different.map(([column, verdict]) => `${column}: ${verdict}`).join('; ')
}

/** The page: one row per client, one column per case, and one per other way of running the same cases. */
export function page(clients: readonly Client[], outcome: Outcome, others: ReadonlyMap<string, Outcome>): string {
  const header = ['Client', ...CASES.map(({ name }) => name), ...others.keys()]
  const rows = clients.map((client) => [
    client.name,
    ...CASES.map((each) => each.inapplicable?.(client) ?? outcome.get(client.name)?.get(each.name) ?? '?'),
    ...[...others.values()].map((other) => compared(client.name, outcome, other)),
  ])
  return `${[
    INTRODUCTION,
    '| Column | What is done |',
    '|---|---|',
    ...CASES.map(({ name, meaning }) => row([name, meaning])),
    row(['unsampled', 'all of it again with the sampler `always_off`']),
    row(['no SDK', 'all of it again in a program without any OpenTelemetry SDK']),
    '',
    row(header),
    `|${'---|'.repeat(header.length)}`,
    ...rows.map(row),
    '',
    FOOTNOTE,
  ].join('\n')}\n`
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const INTRODUCTION = `# Conformance

What leaves with each client, and what does not. This page is written by \`npm run conformance\`, from requests over real
sockets through the packed artifact; \`npm test\` fails where it differs from what happens.

A cell has one verdict per request that arrived, in order: \`token\` is one \`Authorization\` line with this caller's token,
\`own\` is one with the application's credential, \`none\` is no such line. \`each its own\` means that every caller's request
carried that caller's token. Where a case cannot be tried the cell says why; \`same\` means the same as the cells to its
left.
`

const FOOTNOTE = `A proxy agent gets no token for a destination in clear text: the proxy would read it. To \`https\` it is a tunnel.`
