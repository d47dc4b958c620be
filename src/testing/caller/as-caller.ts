/** `asCaller`: runs a function as a verified caller, without a server and without a network. */

import { activeRelay, findActiveRelay } from '../../ingress/active-relay.ts'
import { runAsVerified } from '../../relay/run-as.ts'
import { writeBearer } from '../../token/bearer.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import { refuseProduction } from '../production.ts'
import { currentTestIssuer } from './current-issuer.ts'
import type { CallerTokenOptions, TokenIssuer } from './local-issuer.ts'
import { LOCAL_ISSUER, signLocalToken, verifyLocalToken } from './local-issuer.ts'

/** Who calls, and by which issuer's word. */
export interface AsCallerOptions extends CallerTokenOptions {
  /**
   * The issuer of the token: a test issuer that the active relay accepts, or a name for `credential.issuer`, whose
   * token is signed with the key of this process. Default: the issuer of the active test relay, else
   * `https://as-caller.invalid`.
   */
  readonly issuer?: TokenIssuer | string
}

/** The caller that a function runs as. */
export interface TestCaller {
  /** What `getActiveCredential()` returns meanwhile. */
  readonly credential: VerifiedCredential
  /** The header that makes a request to a service under test the caller's, for `inject` and the like. */
  readonly headers: { readonly authorization: string }
}

/**
 * Runs `fn` as the caller that `options` describe, and returns what it returns. Everything that `fn` starts sees the
 * caller: `getActiveCredential()`, the relay if one is active, and the requests that it makes, whose token leaves for
 * named destinations as ever. Work that goes on after `fn` is detached.
 *
 * The token is a real one that was really verified. Under a relay of `createTestRelay`, or with a test issuer, that
 * issuer signs it and the relay verifies it; guards and other services that trust the issuer accept it. Otherwise the
 * key is one of this process: no relay and no service accepts the token of another's word, so adapters refuse it, and
 * a destination that is named by mistake gets a token that opens nothing.
 *
 * It does not make `request.credential`: adapters read the token of the request. Pass {@link TestCaller.headers}.
 *
 * @throws TokenRejectedError if the token is not good, before `fn` is called.
 * @throws Error if the process is one of production by now, as the import does.
 * @throws TypeError if a member of `options` is wrong.
 */
export async function asCaller<T>(options: AsCallerOptions, fn: (caller: TestCaller) => T): Promise<Awaited<T>> {
  refuseProduction()
  checkOptions(options)
  const credential = await credentialFor(options)
  findActiveRelay()?.discoverTracers()
  return await runAsVerified(credential, () => fn({ credential, headers: { authorization: writeBearer(credential) } }))
}

function credentialFor({ issuer, ...options }: AsCallerOptions): Promise<VerifiedCredential> {
  const signer = issuer ?? (findActiveRelay() === undefined ? undefined : currentTestIssuer()) ?? LOCAL_ISSUER
  if (typeof signer !== 'string') return activeRelay().verify(signer.token(options))
  return verifyLocalToken(signLocalToken(signer, options), signer)
}

/** JavaScript has no types: a misspelt option must not make another caller. */
function checkOptions(options: AsCallerOptions): void {
  const { subject, scopes = [], expiresIn = 1 } = options
  const unknown = Object.keys(options).find((name) => !MEMBERS.includes(name))
  if (unknown !== undefined) throw new TypeError(`${unknown}: unknown option of asCaller`)
  if (typeof subject !== 'string' || subject === '') throw new TypeError('subject: expected a text')
  if (!Array.isArray(scopes)) throw new TypeError('scopes: expected a list')
  if (!(expiresIn > 0)) throw new TypeError('expiresIn: expected seconds, more than 0')
}

const MEMBERS: readonly string[] = ['subject', 'scopes', 'audience', 'expiresIn', 'claims', 'issuer']
