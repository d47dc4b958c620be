/** `doctor token`: each mistake in a token is named by its rule, and the token is not printed. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Signer } from '../support/signer.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import { checksOf, runCommand } from './command.ts'

let issuer: TestIssuer
let stranger: Signer
beforeAll(async () => {
  issuer = await startIssuer()
  stranger = createSigner('ES256')
})
afterAll(() => issuer[Symbol.asyncDispose]())

const environment = (more: Readonly<Record<string, string>> = {}) => ({
  TOKEN_RELAY_ISSUER: issuer.issuer,
  TOKEN_RELAY_AUDIENCE: 'user-service',
  ...more,
})

/** No 12 characters of the token, nor of its decoded parts that are not configured, are in the text. */
function expectSecret(token: string, ...texts: readonly string[]): void {
  for (const text of texts) {
    for (let start = 0; start + 12 <= token.length; start += 1) {
      const piece = token.slice(start, start + 12)
      if (text.includes(piece)) throw new Error(`12 characters of the token are printed, from ${start} on`)
    }
  }
}

const now = () => Math.floor(Date.now() / 1000)

interface Mistake {
  readonly name: string
  readonly token: () => Promise<string> | string
  readonly rule: string
  readonly code: string
  readonly says: string
  readonly env?: Readonly<Record<string, string>>
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'an opaque token',
    token: () => 'b2faf0c2-9a1c-4e6e-8a54-3f3a0f1fd0ff',
    rule: 'form',
    code: 'ERR_TOKEN_MALFORMED',
    says: 'opaque',
  },
  {
    name: 'a token in five parts',
    token: () => 'eyJhbGciOiJkaXIifQ.a.b.c.d',
    rule: 'form',
    code: 'ERR_TOKEN_MALFORMED',
    says: 'JWE',
  },
  {
    name: 'another issuer',
    token: () => issuer.token({ iss: 'https://secret-issuer.example' }),
    rule: 'issuer',
    code: 'ERR_TOKEN_ISSUER',
    says: 'iss is another value, issuers are',
  },
  {
    name: 'an issuer with a slash more',
    token: () => issuer.token({ iss: `${issuer.issuer}/` }),
    rule: 'issuer',
    code: 'ERR_TOKEN_ISSUER',
    says: 'differs from issuers[0].issuer by its last slash',
  },
  {
    name: 'a large token',
    token: () => issuer.token({ padding: 'x'.repeat(400) }),
    rule: 'size',
    code: 'ERR_TOKEN_TOO_LARGE',
    says: 'issuers[0].maxTokenBytes is 300',
    env: { TOKEN_RELAY_MAX_TOKEN_BYTES: '300' },
  },
  {
    name: 'an algorithm that is not accepted',
    token: () => issuer.token(),
    rule: 'algorithm',
    code: 'ERR_TOKEN_ALGORITHM',
    says: 'alg is "ES256", issuers[0].algorithms accepts "RS256"',
    env: { TOKEN_RELAY_ALGORITHMS: 'RS256' },
  },
  {
    name: 'a key in the header',
    token: () => stranger.token(goodClaims(issuer.issuer), { jku: 'https://attacker.example/jwks' }),
    rule: 'header',
    code: 'ERR_TOKEN_HEADER',
    says: 'the header has "jku"',
  },
  {
    name: 'another type',
    token: () => issuer.token({}, { typ: 'logout+jwt' }),
    rule: 'type',
    code: 'ERR_TOKEN_TYPE',
    says: 'typ is "logout+jwt", issuers[0].typ accepts "at+jwt"',
  },
  {
    name: 'a type that is on no list',
    token: () => issuer.token({}, { typ: 'my-own-secret-type' }),
    rule: 'type',
    code: 'ERR_TOKEN_TYPE',
    says: 'typ is another value',
  },
  {
    name: 'an ID token',
    token: () => issuer.token({ at_hash: 'x' }),
    rule: 'kind',
    code: 'ERR_TOKEN_TYPE',
    says: 'at_hash',
  },
  {
    name: 'no sub',
    token: () => issuer.token({ sub: undefined as never }),
    rule: 'requiredClaims',
    code: 'ERR_TOKEN_CLAIM',
    says: 'sub is absent',
  },
  {
    name: 'another audience',
    token: () => issuer.token({ aud: 'a-secret-audience' }),
    rule: 'audience',
    code: 'ERR_TOKEN_AUDIENCE',
    says: 'aud is another value, issuers[0].audience accepts "user-service"',
  },
  {
    name: 'an expired token',
    token: () => issuer.token({ iat: now() - 7_300, exp: now() - 7_250 }),
    rule: 'dates',
    code: 'ERR_TOKEN_EXPIRED',
    says: 'exp has passed',
  },
  {
    name: 'a clock that is ahead',
    token: () => issuer.token({ iat: now() + 120, exp: now() + 600 }),
    rule: 'dates',
    code: 'ERR_TOKEN_NOT_YET_VALID',
    says: 'compare the clocks',
  },
  {
    name: 'a long life',
    token: () => issuer.token(),
    rule: 'lifetime',
    code: 'ERR_TOKEN_LIFETIME',
    says: 'issuers[0].maxLifetimeSeconds is 60',
    env: { TOKEN_RELAY_MAX_LIFETIME_SECONDS: '60' },
  },
  {
    name: 'a bound token',
    token: () => issuer.token({ cnf: { jkt: 'x' } }),
    rule: 'confirmation',
    code: 'ERR_TOKEN_BOUND',
    says: 'cnf binds the token',
  },
  {
    name: 'an actor that is none',
    token: () => issuer.token({ act: 'x' }),
    rule: 'actors',
    code: 'ERR_TOKEN_CLAIM',
    says: 'act or may_act',
  },
  {
    name: 'an unknown key',
    token: () => issuer.token({}, { kid: 'a-secret-kid' }),
    rule: 'key',
    code: 'ERR_TOKEN_KEY',
    says: 'kid is another value',
  },
  {
    name: 'a forged signature',
    token: () => stranger.token(goodClaims(issuer.issuer)),
    rule: 'signature',
    code: 'ERR_TOKEN_SIGNATURE',
    says: 'the signature is wrong',
  },
  {
    name: 'a scope too few',
    token: () => issuer.token(),
    rule: 'requiredScopes',
    code: 'ERR_TOKEN_SCOPE',
    says: 'it lacks "admin"',
    env: { TOKEN_RELAY_REQUIRED_SCOPES: 'admin' },
  },
]

describe('doctor token', () => {
  it.each(MISTAKES)('names $name by its rule, and prints nothing of the token [J1]', async ({
    token,
    rule,
    code,
    says,
    env,
  }) => {
    const text = await token()
    const result = await checksOf(['doctor', 'token'], { env: environment(env), input: `${text}\n` })
    expect(result).toMatchObject({ status: 1, stderr: '', accepted: false, code })
    const [check] = result.find(`token.${rule}`)
    expect(check).toMatchObject({ status: 'finding' })
    expect(check?.text).toContain(says)
    expectSecret(text, result.stdout)
    for (const value of ['secret-issuer', 'a-secret', 'my-own-secret', 'alice', 'attacker']) {
      expect(result.stdout).not.toContain(value)
    }
  })

  it('passes every rule of a good token, and says what is configured', async () => {
    const token = await issuer.token()
    const { status, stdout, stderr } = await runCommand(['doctor', 'token'], {
      env: environment(),
      input: `Bearer ${token}\r\n`,
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('✓ audience: audience accepts "user-service"')
    expect(stdout).toContain('✓ signature: a published key verifies it')
    expect(stdout).toContain('The token is accepted.')
    expect(stdout).not.toContain('✗')
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    expectSecret(token, stdout)
  })

  it('goes on after the first rule that refuses: all mistakes are named at once', async () => {
    const token = await issuer.token({ aud: 'other', cnf: { jkt: 'x' } }, { typ: 'dpop+jwt' })
    const { find, code } = await checksOf(['doctor', 'token'], { env: environment(), input: token })
    const failing = ['type', 'audience', 'confirmation'].map((rule) => find(`token.${rule}`)[0]?.status)
    expect(failing).toEqual(['finding', 'finding', 'finding'])
    // The verdict is that of the verification: the first in its order.
    expect(code).toBe('ERR_TOKEN_TYPE')
  })

  it('asks no key on behalf of an algorithm that is not accepted', async () => {
    const env = environment({ TOKEN_RELAY_ALGORITHMS: 'RS256' })
    const { find } = await checksOf(['doctor', 'token'], { env, input: await issuer.token() })
    expect(find('token.key')).toMatchObject([{ status: 'skipped' }])
    expect(find('token.signature')).toMatchObject([{ status: 'skipped' }])
  })

  it('says that the keys are not there, and no more of the signature', async () => {
    const env = environment({ TOKEN_RELAY_JWKS_URI: `${issuer.issuer}/nothing` })
    const { find, code, status } = await checksOf(['doctor', 'token'], { env, input: await issuer.token() })
    expect({ code, status }).toEqual({ code: 'ERR_TOKEN_KEYS_UNAVAILABLE', status: 1 })
    expect(find('token.key')).toMatchObject([{ status: 'finding' }])
    expect(find('token.signature')).toMatchObject([{ status: 'skipped' }])
  })

  it.each([
    ['an argument', (token: string) => ['doctor', 'token', token]],
    ['a command', (token: string) => [token]],
    ['a command of doctor', (token: string) => ['doctor', token]],
    ['an option', (token: string) => ['doctor', 'token', `--token=${token}`]],
    ['an option of its own', (token: string) => ['doctor', 'token', `--${token}`]],
  ])('does not take it as %s, and does not repeat it [J1]', async (_, args) => {
    const token = await issuer.token()
    const { status, stdout, stderr } = await runCommand(args(token), { env: environment() })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expectSecret(token, stderr)
  })

  it.each([
    ['no token', {}, '', 'no token on standard input'],
    ['too much', {}, 'x'.repeat(1_100_000), 'too long'],
    ['no configuration', { TOKEN_RELAY_ISSUER: '', TOKEN_RELAY_AUDIENCE: '' }, 'x', 'no configuration'],
    ['a wrong configuration', { TOKEN_RELAY_AUDIENCE: '' }, 'x', 'TOKEN_RELAY_AUDIENCE: required'],
  ])('with %s ends with 2', async (_, env, input, problem) => {
    const result = await runCommand(['doctor', 'token'], { env: environment(env), input })
    expect(result).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(problem) })
  })
})
