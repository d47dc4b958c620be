/** Reads and cleans the `authorization` entry of carriers that applications own and reuse. */

/** The one field that this package reads and writes. */
export const AUTHORIZATION = 'authorization'

/** What we wrote into a carrier, by carrier: applications send the same message or metadata object again. */
const written = new WeakMap<object, string>()

export function isCarrier(carrier: unknown): carrier is object {
  return typeof carrier === 'object' && carrier !== null
}

/** Whether the carrier holds a credential that the application put there itself. */
export function hasOwnCredential(carrier: object): boolean {
  const values = Object.entries(carrier)
    .filter(([name]) => name.toLowerCase() === AUTHORIZATION)
    .map(([, value]) => value as unknown)
  return values.some((value) => value !== undefined && value !== written.get(carrier))
}

export function rememberWritten(carrier: object, value: string): void {
  written.set(carrier, value)
}

/** Removes what an earlier call wrote, so that yesterday's token does not leave with today's message. */
export function removeWritten(carrier: object): void {
  const value = written.get(carrier)
  if (value === undefined) return
  written.delete(carrier)
  const entries = carrier as Record<string, unknown>
  if (entries[AUTHORIZATION] === value) delete entries[AUTHORIZATION]
}
