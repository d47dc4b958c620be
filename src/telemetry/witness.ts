/** Who is shown every token that is accepted: canary mode, in tests, and nobody else. */

/** Keeps what it is shown to itself. */
export type Witness = (token: string) => void

/** `undefined` outside of tests. */
export let witness: Witness | undefined

export function setWitness(next: Witness | undefined): void {
  witness = next
}
