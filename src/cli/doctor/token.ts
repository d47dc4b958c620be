/** `otel-token-relay doctor token`: which rule refuses the token on standard input, and what it expects. */

import process from 'node:process'
import type { Settings } from '../../config/options.ts'
import type { TokenError } from '../../token/errors.ts'
import { detailOf, quote, textOf } from '../../token/refusal-detail.ts'
import type { CredentialPolicy } from '../../token/verified-credential.ts'
import type { Issuer } from '../../verification/issuer.ts'
import type { Issuers } from '../../verification/issuers.ts'
import { createIssuers } from '../../verification/issuers.ts'
import type { RuleOutcome, Walk } from '../../verification/walk.ts'
import { walkRules } from '../../verification/walk.ts'
import { requireSettings } from '../configuration.ts'
import type { Check, Section } from '../report.ts'
import { printReport, UsageError } from '../report.ts'

export interface TokenOptions {
  readonly config?: string
  readonly json?: boolean
}

/** Longer than any accepted token. */
const MAX_BYTES = 1_048_576

/** Reads the token, and prints what each rule says of it. Resolves with the exit code. */
export async function checkToken({ config, json = false }: TokenOptions): Promise<number> {
  const settings = requireSettings(config)
  const text = await readToken()
  const issuers = createIssuers(settings.issuers, settings.resolveIssuer, () => () => undefined)
  const walk = await walkRules(text, { issuers, policyOf: (issuer) => policyFor(issuer, settings) })
  const { error } = walk
  const conclusion =
    error === undefined ? 'The token is accepted.' : `The token gets ${error.status} ${error.code}: ${error.message}.`
  const data = { accepted: error === undefined, status: error?.status, code: error?.code }
  return printReport({ command: 'doctor token', sections: sectionsOf(walk, issuers), conclusion, data }, json)
}

/** From standard input only: arguments are seen by every user of the machine, and stay in the history of the shell. */
async function readToken(): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError('give the token on standard input: doctor token < file')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) throw new UsageError('standard input is too long to be a token')
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('latin1').trim()
  const token = text.replace(/^(?:authorization:\s*)?bearer\s+/i, '')
  if (token === '') throw new UsageError('there is no token on standard input')
  return token
}

/** Nothing of the credential is used but its scopes and roles. */
function policyFor(
  { issuer, scopeClaims, roleClaims, clockToleranceSeconds }: Issuer,
  settings: Settings,
): CredentialPolicy {
  const { fingerprintKey, telemetry } = settings
  const watch = (): AbortSignal => new AbortController().signal
  return { fingerprintKey, actors: telemetry.actors, watch, issuer, scopeClaims, roleClaims, clockToleranceSeconds }
}

function sectionsOf({ rules, issuer, error }: Walk, issuers: Issuers): readonly Section[] {
  const title = issuer === undefined ? 'Rules' : `Rules of ${issuer.path} "${issuer.issuer}"`
  const checks = rules.map((outcome) => checkOf(outcome, issuer, issuers))
  const isTold = error === undefined || checks.some(({ status }) => status === 'finding')
  const verdict: Check = { id: 'token.verdict', status: 'finding', text: reasonOf(error) }
  return [
    { title, checks: isTold ? checks : [...checks, verdict] },
    { title: 'Not looked at', checks: [REVOCATION] },
  ]
}

const REVOCATION: Check = {
  id: 'token.revocation',
  status: 'note',
  text: 'revocation: the list of a running service is not asked here',
}

function checkOf({ rule, outcome, error }: RuleOutcome, issuer: Issuer | undefined, issuers: Issuers): Check {
  const id = `token.${rule}`
  const expected = expectationOf(rule, issuer, issuers)
  if (outcome === 'passed') return { id, status: 'ok', text: `${rule}: ${expected}` }
  if (outcome === 'skipped') return { id, status: 'skipped', text: `${rule}: not asked, an earlier rule refuses` }
  return { id, status: 'finding', text: `${rule}: ${reasonOf(error)}`, advice: `${error?.status} ${error?.code}` }
}

function reasonOf(error: TokenError | undefined): string {
  if (error === undefined) return ''
  const detail = detailOf(error)
  return detail === undefined ? error.message : textOf(detail)
}

/** What a rule asks for, with the configured value. */
function expectationOf(rule: string, issuer: Issuer | undefined, { configured }: Issuers): string {
  if (rule === 'issuer') return `iss is one of ${quote(configured.map((each) => each.issuer))}`
  const text = EXPECTATIONS[rule]
  if (text === undefined) return 'passed'
  return typeof text === 'string' ? text : issuer === undefined ? 'passed' : text(issuer)
}

type Expectation = string | ((issuer: Issuer) => string)

const limit = (value: number | undefined, name: string): string =>
  value === undefined ? `${name} is not set` : `${name} is ${value}`

const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  form: 'it is a compact JWS, or opaque for an issuer with introspection',
  size: ({ maxTokenBytes }) => `maxTokenBytes is ${maxTokenBytes}`,
  algorithm: ({ algorithms }) => `algorithms accepts ${quote(algorithms)}`,
  header: 'no member that would choose a key or an encoding',
  type: ({ typ }) => `typ accepts ${typ === null ? '"at+jwt", "JWT" or none' : quote([typ].flat())}`,
  kind: 'it does not carry the mark of another kind of token',
  requiredClaims: ({ requiredClaims }) => `requiredClaims has ${quote(requiredClaims)}`,
  audience: ({ audience }) => (audience === null ? 'audience is null: any' : `audience accepts ${quote(audience)}`),
  dates: ({ clockToleranceSeconds, maxTokenAgeSeconds }) =>
    `exp, nbf and iat, with clockToleranceSeconds ${clockToleranceSeconds}; ${limit(maxTokenAgeSeconds, 'maxTokenAgeSeconds')}`,
  lifetime: ({ maxLifetimeSeconds }) => limit(maxLifetimeSeconds, 'maxLifetimeSeconds'),
  confirmation: 'no cnf: it is a plain bearer token',
  actors: 'act and may_act are well-formed, or absent',
  fractions: 'nbf is not in the future by a part of a second',
  key: 'the issuer publishes a key for it',
  signature: 'a published key verifies it',
  claimRules: ({ claimRules }) => (claimRules.length === 0 ? 'there are none' : `all ${claimRules.length} return true`),
  requiredScopes: ({ requiredScopes }) =>
    requiredScopes.length === 0 ? 'there are none' : `it has ${quote(requiredScopes)}`,
}
