/** Tokens that were good once, or nearly. */

import { setTimeout } from 'node:timers/promises'
import { HASTY_APP } from './identity-provider.ts'
import type { Stage } from './stage.ts'

/** A real token that was good for one second, which is over. */
export async function expiredToken(stage: Stage): Promise<string> {
  const token = await stage.issueToken({ clientId: HASTY_APP })
  const { exp } = claimsOf(token) as { readonly exp: number }
  while (Date.now() < exp * 1000) await setTimeout(exp * 1000 - Date.now())
  return token
}

/** The same token, but for its subject: an attacker can write claims, and cannot sign them. */
export function forge(token: string): string {
  const [header, , signature] = token.split('.')
  const payload = Buffer.from(JSON.stringify({ ...claimsOf(token), sub: 'mallory' })).toString('base64url')
  return [header, payload, signature].join('.')
}

function claimsOf(token: string): object {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object
}
