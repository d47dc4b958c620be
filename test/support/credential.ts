/** Verified credentials for what does not care how they were verified. */

import type { VerifiedCredential } from '../../src/index.ts'
import type { Claims, CredentialPolicy } from '../../src/token/verified-credential.ts'
import { createVerifiedCredential } from '../../src/token/verified-credential.ts'

const POLICY: CredentialPolicy = {
  issuer: 'https://id.example',
  scopeClaims: ['scope', 'scp', 'roles'],
  roleClaims: [['roles']],
  fingerprintKey: 'a key of at least sixteen',
  watch: () => new AbortController().signal,
  actors: 'hash',
}

export function credentialOf(claims: Claims, text = 'a.b.c'): VerifiedCredential {
  return createVerifiedCredential({ text, claims, policy: POLICY })
}
