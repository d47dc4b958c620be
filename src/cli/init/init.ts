/** `otel-token-relay init`: writes a commented configuration file, with what the issuer's metadata says. */

import { existsSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { OptionError } from '../../base/option-checks.ts'
import { parseOptions } from '../../config/options.ts'
import type { Check } from '../report.ts'
import { printReport, UsageError } from '../report.ts'
import type { IssuerFacts } from './issuer.ts'
import { learnIssuer } from './issuer.ts'
import type { InitOptions } from './options.ts'
import { providerOf } from './providers.ts'
import type { Answers } from './template.ts'
import { optionsOf, textOf } from './template.ts'

/** Asks for what is not given, unless it must not ask. Resolves with the exit code. */
export async function init(given: InitOptions): Promise<number> {
  const mayAsk = given.yes !== true && given.json !== true && process.stdin.isTTY && process.stdout.isTTY
  refuseFile(given)
  const { issuer, audience, destination = [], mode, file } = mayAsk ? await askFor(given) : given
  if (issuer === undefined || !URL.canParse(issuer)) throw new UsageError('--issuer is required: the URL of the issuer')
  const facts = await learnIssuer(issuer)
  const provider = providerOf(facts.issuer)
  const answers: Answers = {
    facts,
    provider,
    audience: audienceOf(audience, provider?.hasAudience),
    destinations: destination,
    mode,
  }
  refuseOptions(answers)
  write(file, textOf(answers, file), given.force === true)
  const start = `TOKEN_RELAY_CONFIG_FILE=${file} node --import otel-token-relay/register app.js`
  const sections = [{ title: file, checks: checksOf(answers) }]
  const conclusion = `Start with:\n\n  ${start.replace(' node', ' \\\n    node')}`
  const data = { file, start, provider: provider?.name }
  return printReport({ command: 'init', sections, conclusion, data }, given.json === true)
}

function askFor(given: InitOptions): Promise<InitOptions> {
  return import('./questions.ts').then(({ ask }) => ask(given))
}

/** Tokens of Cognito have no `aud`. Elsewhere, a service that does not check it accepts the tokens of all others. */
function audienceOf(given: readonly string[] | undefined, hasAudience = true): readonly string[] | null {
  const names = (given ?? []).map((name) => name.trim()).filter((name) => name !== '')
  if (names.length > 0) return names.length === 1 && names[0] === 'null' ? null : names
  if (!hasAudience) return null
  throw new UsageError('--audience is required: the name of this service in the aud of tokens')
}

/** A module, because JSON has no comments. */
function refuseFile({ file, force }: InitOptions): void {
  if (!/\.[mc]js$/.test(file)) throw new UsageError('--file must end in .mjs or .cjs')
  if (force !== true && existsSync(file)) throw new UsageError(`${file} exists: use --force to overwrite it`)
}

/** What is written here must be what a relay accepts. */
function refuseOptions(answers: Answers): void {
  try {
    parseOptions(optionsOf(answers))
  } catch (error) {
    throw new UsageError(error instanceof OptionError ? error.message : 'the answers make no configuration')
  }
}

function write(file: string, text: string, overwrite: boolean): void {
  try {
    writeFileSync(file, text, { flag: overwrite ? 'w' : 'wx' })
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST'
    throw new UsageError(exists ? `${file} exists: use --force to overwrite it` : `${file} cannot be written`)
  }
}

function checksOf({ facts, provider, destinations }: Answers): readonly Check[] {
  const written: Check = { id: 'init.file', status: 'ok', text: 'written' }
  const known: readonly Check[] =
    provider === undefined ? [] : [{ id: 'init.provider', status: 'note', text: `${provider.name}: ${provider.hint}` }]
  const nowhere: readonly Check[] =
    destinations.length > 0
      ? []
      : [{ id: 'init.destinations', status: 'note', text: 'destinations is empty: tokens go nowhere' }]
  return [written, metadataCheck(facts), ...known, ...nowhere]
}

function metadataCheck({ problem, isCorrected, issuer }: IssuerFacts): Check {
  const id = 'init.metadata'
  if (problem !== undefined)
    return { id, status: 'finding', text: problem, advice: 'npx otel-token-relay doctor says more' }
  if (isCorrected) return { id, status: 'note', text: `the issuer calls itself ${issuer}, which is what was written` }
  return { id, status: 'ok', text: 'the metadata of the issuer was read' }
}
