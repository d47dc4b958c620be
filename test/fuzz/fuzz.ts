/** Throws inputs at a verifier and counts what must never happen. */

import { TOKEN_ERRORS, TokenError } from '../../src/token/errors.ts'
import type { Cast, Input } from './inputs.ts'
import { createCast, nextInput } from './inputs.ts'
import { createRandom } from './random.ts'
import { mayBeAccepted } from './reference.ts'

export interface FuzzTarget {
  /** Resolves for a good token, rejects for any other. */
  verify(text: string): Promise<unknown>
  /** Takes a field of a request, whatever it is, and never throws. */
  extract?(text: string): void
}

export interface FuzzOptions {
  readonly seed: number
  /** Ends after so many inputs, or after so many seconds, whichever comes first. */
  readonly inputs: number
  readonly seconds: number
}

/** What must not happen, and with which input: its number, from which the same seed makes it again, and its text. */
interface Finding {
  readonly defect: 'crash' | 'untyped error' | 'false accept' | 'good refused'
  readonly kind: string
  readonly input: number
  readonly text: string
}

export interface FuzzReport {
  readonly seed: number
  readonly inputs: number
  readonly inputsPerSecond: number
  readonly accepted: number
  readonly codes: Readonly<Record<string, number>>
  readonly findings: readonly Finding[]
}

/** As many as are in flight at once: enough for what is shared between verifications to be shared. */
const CONCURRENT = 64

export async function fuzz(targetFor: (cast: Cast) => FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const random = createRandom(options.seed)
  const cast = createCast()
  const target = targetFor(cast)
  const tally: Tally = { accepted: 0, codes: {}, findings: [] }
  const started = performance.now()
  let inputs = 0
  let spent = 0

  while (inputs < options.inputs && performance.now() - started < options.seconds * 1000) {
    const batch = Array.from({ length: Math.min(CONCURRENT, options.inputs - inputs) }, () => nextInput(random, cast))
    const before = performance.now()
    const outcomes = await Promise.all(batch.map((input) => outcomeOf(target, input)))
    spent += performance.now() - before
    for (const [i, input] of batch.entries()) count(tally, input, outcomes[i], inputs + i, cast)
    inputs += batch.length
  }
  return { seed: options.seed, inputs, inputsPerSecond: Math.round((inputs / spent) * 1000), ...tally }
}

interface Tally {
  accepted: number
  readonly codes: Record<string, number>
  readonly findings: Finding[]
}

/** `undefined` where the token was accepted. */
type Outcome = { readonly error: unknown } | { readonly crash: unknown } | undefined

async function outcomeOf(target: FuzzTarget, { text }: Input): Promise<Outcome> {
  let verification: Promise<unknown>
  try {
    target.extract?.(text)
    verification = target.verify(text)
  } catch (crash) {
    return { crash }
  }
  return verification.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
}

function count(tally: Tally, { text, kind }: Input, outcome: Outcome, input: number, cast: Cast): void {
  const find = (defect: Finding['defect']) => tally.findings.push({ defect, kind, input, text })
  if (outcome === undefined) {
    tally.accepted += 1
    if (!mayBeAccepted(text, cast)) find('false accept')
    return
  }
  if ('crash' in outcome) return void find('crash')
  const { error } = outcome
  if (!(error instanceof TokenError) || !(error.code in TOKEN_ERRORS)) return void find('untyped error')
  tally.codes[error.code] = (tally.codes[error.code] ?? 0) + 1
  if (kind === 'good') find('good refused')
}
