/** The questions of `init`, for what its options do not say. */

import { cancel, intro, select, text } from '@clack/prompts'
import { UsageError } from '../report.ts'
import type { InitOptions } from './options.ts'

/** Resolves with `given` and the answers. */
export async function ask(given: InitOptions): Promise<InitOptions> {
  intro('otel-token-relay')
  const issuer =
    given.issuer ?? (await line('Who issues the tokens? The issuer, exactly as in iss', 'https://login.example', true))
  const audience =
    given.audience ?? listOf(await line('What is this service called in the aud of tokens?', 'orders', true))
  const destination =
    given.destination ??
    listOf(
      await line('Where may tokens go? Separated by commas, may be empty', 'https://profile.internal.example', false),
    )
  const mode = await answered<InitOptions['mode']>(
    select({
      message: 'What happens to requests without a token?',
      initialValue: given.mode,
      options: [
        { value: 'require', label: 'They get 401' },
        { value: 'optional', label: 'They pass without a caller' },
        { value: 'report', label: 'They pass, and so do those with a bad token: all of them are recorded' },
      ],
    }),
  )
  return { ...given, issuer, audience, destination, mode }
}

async function line(message: string, placeholder: string, isRequired: boolean): Promise<string> {
  const validate = (value: string | undefined): string | undefined =>
    isRequired && (value ?? '').trim() === '' ? 'An answer is required' : undefined
  return (await answered<string | undefined>(text({ message, placeholder, validate })))?.trim() ?? ''
}

async function answered<T extends string | undefined>(answer: Promise<T | symbol>): Promise<T> {
  const value = await answer
  if (typeof value !== 'symbol') return value
  cancel('Nothing was written')
  throw new UsageError('cancelled')
}

function listOf(answer: string): readonly string[] {
  return answer
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
