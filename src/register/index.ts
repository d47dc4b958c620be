/** `node --require otel-token-relay/register app.js`: the relay from the environment, beside whatever SDK there is. */

import { writeSync } from 'node:fs'
import process from 'node:process'
import type { TextMapPropagator } from '@opentelemetry/api'
import { loadHttpForInstrumentations } from '../ingress/instrumentation.ts'
import type { TokenRelayOptions } from '../options.ts'
import { OptionError } from '../options.ts'
import type { TokenRelay } from '../relay.ts'
import { createTokenRelay, RelayActiveError } from '../relay.ts'
import { clearSlot, observeApiGlobal } from './api-global.ts'
import { beforeMain } from './before-main.ts'
import { composePropagators } from './compose.ts'
import { disablesOnConfigError, EnvironmentError, optionsFromEnvironment, sourceOf } from './environment.ts'
import type { OwnSdk } from './sdk.ts'
import { startOwnSdk } from './sdk.ts'

const relay = relayFromEnvironment()
if (relay !== undefined) install(relay)

function relayFromEnvironment(): TokenRelay | undefined {
  try {
    return createTokenRelay(optionsFromEnvironment(process.env) as TokenRelayOptions)
  } catch (error) {
    // A second copy of this package has been preloaded: the first one is at work.
    if (error instanceof RelayActiveError) return undefined
    const problem = describe(error)
    if (!disablesOnConfigError(process.env)) {
      say(`${problem} (the program was not started)`)
      process.exit(1)
    }
    say(`${problem} (disabled: requests are NOT verified and no token is forwarded)`)
    return undefined
  }
}

function describe(error: unknown): string {
  if (error instanceof EnvironmentError) return error.message
  if (error instanceof OptionError) return `${sourceOf(error.path, process.env)}: ${error.problem}`
  return 'the configuration could not be read'
}

function say(line: string): void {
  writeSync(2, `otel-token-relay: ${line}\n`)
}

/** The gate and the egress side work on their own; what follows joins them to the traces. */
function install({ propagator, instrumentation }: TokenRelay): void {
  // At once: a server may be made by what is preloaded after us.
  instrumentation.enable()
  let own: OwnSdk | undefined
  let ownSignals: ReturnType<typeof registered> = []

  const registered = observeApiGlobal({
    compose: (theirs) => composePropagators(theirs as TextMapPropagator, propagator),
    onContested(signal) {
      if (own === undefined || !ownSignals.includes(signal)) return
      // One by one: whoever brings only metrics, or only a propagator, still needs our context manager.
      clearSlot(signal)
      // What is registered there from now on is theirs, and as safe from a third as the API makes it.
      ownSignals = ownSignals.filter((other) => other !== signal)
      if (signal === 'trace') own.yield()
    },
  })

  beforeMain(() => {
    const before = registered()
    if (before.length === 0) {
      own = startOwnSdk()
      ownSignals = registered()
    }
    // Again, now that an SDK with its instrumentation of node:http is there.
    setImmediate(loadHttpForInstrumentations)
  })
}
