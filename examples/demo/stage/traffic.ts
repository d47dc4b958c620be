/** `--traffic`: alice and others keep asking, so that dashboards have something to show. */

import { setTimeout } from 'node:timers/promises'
import { forge } from './bad-tokens.ts'
import type { Stage } from './stage.ts'

const PATHS = ['/users/42', '/users/42/invoices', '/users/42/picture', '/users/42/weather']
const PAUSE_MILLIS = 500
/** Shorter than the five minutes of a token. */
const ROUNDS_PER_TOKEN = 100

/** Asks each path, with a good token, with a forged one and without, and orders, again and again until `signal`. */
export async function makeTraffic({ app, userService, issueToken }: Stage, signal: AbortSignal): Promise<void> {
  let token = await issueToken()
  for (let round = 1; !signal.aborted; round += 1) {
    if (round % ROUNDS_PER_TOKEN === 0) token = await issueToken()
    for (const path of PATHS) await app.call(userService.url + path, { method: 'GET', token }).catch(() => undefined)
    await app.call(`${userService.url}/users/42/orders`, { method: 'POST', token }).catch(() => undefined)
    const bad = round % 2 === 0 ? undefined : forge(token)
    await app.call(`${userService.url}/users/42`, { method: 'GET', token: bad }).catch(() => undefined)
    await setTimeout(PAUSE_MILLIS, undefined, { signal }).catch(() => undefined)
  }
}
