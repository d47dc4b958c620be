/** `createTestRelay`: a relay on a test issuer, with the gate on, which ends with the test. */

import type { DestinationOptions } from '../config/destinations.ts'
import type { TokenRelayOptions } from '../config/options.ts'
import { isGated, setGated } from '../ingress/active-relay.ts'
import { createTokenRelay } from '../relay/assemble.ts'
import type { TokenRelay } from '../relay/relay.ts'
import { useTestIssuer } from './caller/current-issuer.ts'
import type { TestDestination } from './destination/destination.ts'
import { testSealingKey } from './destination/queue.ts'
import type { TestIssuer } from './issuer/options.ts'
import { createTestIssuer } from './issuer/test-issuer.ts'

/** Options of a test relay: those of a relay, with defaults for tests. */
export interface TestRelayOptions extends Omit<TokenRelayOptions, 'issuers' | 'destinations'> {
  /** The issuer whose tokens it accepts; it does not end with the relay. Default: another one, which does. */
  readonly issuer?: TestIssuer
  /** Further issuers. Default: none. */
  readonly issuers?: TokenRelayOptions['issuers']
  /** Where tokens may go: test destinations, or entries as a relay has them. Default: nowhere. */
  readonly destinations?: readonly (TestDestination | DestinationOptions)[]
}

/** A relay for one test. */
export interface TestRelay extends AsyncDisposable {
  readonly relay: TokenRelay
  /** Makes the tokens that the relay accepts. */
  readonly issuer: TestIssuer
}

/**
 * Creates the relay of this thread for a test. The gate stands (`ingress.mode: 'require'`), the destinations are those
 * of the test, messages are sealed with a key of this process, and nothing is written to the log. `await using` ends
 * it: the relay is shut down, servers answer without a gate again, and another relay may be created.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option.
 * @throws RelayActiveError with code `ERR_RELAY_ACTIVE` while another relay is active.
 */
export async function createTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const { issuer: given, issuers = [], destinations = [], ...rest } = options
  const issuer = given ?? (await createTestIssuer())
  const wasGated = isGated()
  try {
    const relay = createTokenRelay({
      telemetry: { log: 'off' },
      ...rest,
      ingress: { mode: 'require', ...rest.ingress },
      sealing: { keys: [testSealingKey()], ...rest.sealing },
      issuers: [issuer.configuration, ...issuers],
      destinations: destinations.map((destination) => ('entry' in destination ? destination.entry : destination)),
    })
    const forgetIssuer = useTestIssuer(issuer)
    return {
      relay,
      issuer,
      async [Symbol.asyncDispose]() {
        forgetIssuer()
        await relay.shutdown()
        setGated(wasGated)
        if (given === undefined) await issuer[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    if (given === undefined) await issuer[Symbol.asyncDispose]()
    throw error
  }
}
