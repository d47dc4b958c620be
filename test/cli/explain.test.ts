/** `explain`: the rule that decides, and what is missing if none does. */

import { describe, expect, it } from 'vitest'
import { checksOf, runCommand } from './command.ts'

const env = {
  TOKEN_RELAY_ISSUER: 'https://login.example',
  TOKEN_RELAY_AUDIENCE: 'user-service',
  TOKEN_RELAY_DESTINATIONS:
    'https://profile.internal.example, http://localhost:50051, https://*.shop.example, kafka:orders, worker:thumbnails',
}

describe('explain says that a token is sent to', () => {
  it.each([
    ['https://profile.internal.example/users/42?q=1', 'https://profile.internal.example', 'forward'],
    ['https://a.shop.example', 'https://*.shop.example', 'forward'],
    ['worker:thumbnails', 'worker:thumbnails', 'forward'],
  ])('%s by %s', async (destination, rule, verdict) => {
    const result = await checksOf(['explain', destination], { env })
    expect(result).toMatchObject({ status: 0, stderr: '', rule, verdict })
    expect(result.find('destination')).toMatchObject([{ status: 'ok', text: expect.stringContaining(`"${rule}"`) }])
  })
})

describe('explain says that a token is withheld from', () => {
  it.each([
    ['grpc://localhost:50051', 'not_named', 'differs by its scheme: this call needs "grpc://localhost:50051"'],
    ['https://profile.internal.example:8443', 'not_named', 'differs by its port'],
    ['rabbitmq:orders', 'not_named', 'differs by its system'],
    ['https://other.example', 'not_named', "add { to: 'https://other.example' }"],
    ['https://user:pass@profile.internal.example', 'own_credential', undefined],
    ['kafka:orders', 'not_sealed', undefined],
    ['https://ex%61mple.com\\@x', 'not_named', undefined],
    ['not a destination', 'unknown_destination', undefined],
  ])('%s: %s', async (destination, reason, advice) => {
    const result = await checksOf(['explain', destination], { env })
    expect(result).toMatchObject({ status: 1, verdict: 'withhold', reason })
    if (advice !== undefined) expect(result.find('destination')[0]?.advice).toContain(advice)
  })

  it('everything, while egress.mode is report', async () => {
    const reporting = { ...env, TOKEN_RELAY_EGRESS_MODE: 'report' }
    const result = await checksOf(['explain', 'https://profile.internal.example'], { env: reporting })
    expect(result).toMatchObject({ status: 1, reason: 'report_only' })
  })
})

it('explain prints lines for people', async () => {
  const { stdout, status } = await runCommand(['explain', 'https://profile.internal.example/users'], { env })
  expect(status).toBe(0)
  expect(stdout).toBe(
    'https://profile.internal.example\n' +
      '  ✓ destinations[0] "https://profile.internal.example" names it: the token is\n' +
      '    forwarded\n\nThe token is sent.\n',
  )
})

it('explain needs a configuration and a destination', async () => {
  expect(await runCommand(['explain', 'https://a.example'])).toMatchObject({ status: 2, stdout: '' })
  expect(await runCommand(['explain'], { env })).toMatchObject({ status: 2, stdout: '' })
})
