/** The configuration file that `init` writes. */

import type { IssuerFacts } from './issuer.ts'
import type { Provider } from './providers.ts'

export interface Answers {
  readonly facts: IssuerFacts
  readonly provider: Provider | undefined
  /** `null` accepts tokens for any audience. */
  readonly audience: readonly string[] | null
  readonly destinations: readonly string[]
  readonly mode: 'require' | 'optional' | 'report'
}

/** The options that the file holds, to be checked. */
export function optionsOf({ facts, provider, audience, destinations, mode }: Answers): unknown {
  const { issuer, jwksUri, algorithms } = facts
  return {
    issuers: [{ issuer, jwksUri, audience, algorithms, ...provider?.options }],
    destinations: destinations.map((to) => ({ to })),
    ingress: { mode },
  }
}

/** The text of `file`. */
export function textOf(answers: Answers, file: string): string {
  const start = file.endsWith('.cjs') ? 'module.exports =' : 'export default'
  return `// Configuration of otel-token-relay. Start a program with it:
//   TOKEN_RELAY_CONFIG_FILE=${file} node --import otel-token-relay/register app.js
// Check it:
//   npx otel-token-relay doctor --config ${file}

/** @type {import('otel-token-relay').TokenRelayOptions} */
${start} {
  issuers: [
    {
${linesOf(issuerLines(answers), '      ')}
    },
  ],
  // Where the tokens of callers may go, and nowhere else.
  destinations: [${destinationLines(answers)}],
  ingress: {
    // require: 401 without a good token. optional: 401 for a bad token only. report: 401 for none, but recorded.
    mode: ${quoted(answers.mode)},
    // Paths that are open without a token.
    // publicPaths: ['/health'],
  },
}
`
}

function issuerLines({ facts, audience, provider }: Answers): readonly string[] {
  const { issuer, jwksUri, algorithms } = facts
  const names = audience?.map(quoted) ?? []
  return [
    ...(provider === undefined ? [] : comment(`${provider.name}: ${provider.hint}.`)),
    ...comment('Exactly as in the iss of its tokens, to the last slash.'),
    `issuer: ${quoted(issuer)},`,
    ...(jwksUri === undefined ? [] : [...comment('On another host than the issuer.'), `jwksUri: ${quoted(jwksUri)},`]),
    ...comment(
      audience === null ? 'Tokens for any audience are accepted.' : 'The name of this service in the aud of tokens.',
    ),
    `audience: ${audience === null ? 'null' : names.length === 1 ? names[0] : `[${names.join(', ')}]`},`,
    ...(algorithms === undefined ? [] : [`algorithms: [${algorithms.map(quoted).join(', ')}],`]),
    ...Object.entries(provider?.options ?? {}).map(([name, values]) => `${name}: [${values.map(quoted).join(', ')}],`),
    ...(provider?.hasAudience === false ? CLIENT_RULE : []),
  ]
}

const CLIENT_RULE = [
  "// requiredScopes: ['user-service/access'],",
  "// claimRules: [(claims) => ['the client ID of this service'].includes(claims.client_id)],",
]

function destinationLines({ destinations }: Answers): string {
  if (destinations.length === 0) return "\n    // { to: 'https://profile.internal.example' },\n  "
  return `\n${linesOf(
    destinations.map((to) => `{ to: ${quoted(to)} },`),
    '    ',
  )}\n  `
}

function linesOf(lines: readonly string[], indent: string): string {
  return lines.map((line) => `${indent}${line}`).join('\n')
}

const WIDTH = 90

function comment(text: string): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(`// ${word}`)
  }
  return lines
}

/** A literal of JavaScript: what was typed cannot become code. */
function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}
