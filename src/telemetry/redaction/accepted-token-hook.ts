/** Shows every accepted token to canary mode, which only tests turn on. */

/** Must keep the token to itself. */
export type AcceptedTokenHook = (token: string) => void

/** `undefined` outside of tests. */
export let acceptedTokenHook: AcceptedTokenHook | undefined

export function setAcceptedTokenHook(next: AcceptedTokenHook | undefined): void {
  acceptedTokenHook = next
}
