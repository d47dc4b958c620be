/** `node --require otel-token-relay/register app.js`: creates the relay from the environment, beside any SDK. */

import '../base/node-version.ts'

import { writeSync } from 'node:fs'
import process from 'node:process'
import type { TextMapPropagator } from '@opentelemetry/api'
import { describeConfigurationError, disablesOnConfigError, optionsFromEnvironment } from '../config/environment.ts'
import type { TokenRelayOptions } from '../config/options.ts'
import { findActiveRelay } from '../ingress/active-relay.ts'
import { joinTraces, joinTracesNow } from '../ingress/http/instrumentation.ts'
import { createRegisteredRelay } from '../relay/assemble.ts'
import { RelayActiveError } from '../relay/relay.ts'
import { clearSlot, observeApiGlobal } from './api-global.ts'
import { beforeMain } from './before-main.ts'
import type { OwnSdk } from './sdk.ts'
import { startOwnSdk } from './sdk.ts'

const registered = relayFromEnvironment()
if (registered !== undefined) joinToTraces(registered)

type RegisteredRelay = ReturnType<typeof createRegisteredRelay>

function relayFromEnvironment(): RegisteredRelay | undefined {
  try {
    const options = optionsFromEnvironment(process.env) as TokenRelayOptions
    // Preloaded twice, or in two copies: the first one stays active.
    if (findActiveRelay()?.isRegisteredWith?.(options) === true) return undefined
    const registered = createRegisteredRelay(options)
    // At once: a module that is preloaded later may create a server.
    void registered.relay.instrumentation
    return registered
  } catch (error) {
    const problem = problemOf(error)
    if (!disablesOnConfigError(process.env)) {
      writeLine(`${problem} (the program was not started)`)
      process.exit(1)
    }
    writeLine(`${problem} (disabled: requests are NOT verified and no token is forwarded)`)
    return undefined
  }
}

function problemOf(error: unknown): string {
  const problem = describeConfigurationError(error, process.env)
  if (problem !== undefined) return problem
  if (error instanceof RelayActiveError) return 'another token relay is active: preload one, or create one in code'
  return 'the configuration could not be read'
}

function writeLine(line: string): void {
  writeSync(2, `otel-token-relay: ${line}\n`)
}

/** Joins the relay to the traces of any SDK; its gate and its egress side are active already. */
function joinToTraces({ relay: { propagator, redact }, announce }: RegisteredRelay): void {
  let own: OwnSdk | undefined
  let ownSignals: ReturnType<typeof registered> = []

  const registered = observeApiGlobal({
    compose: (registered) => composePropagators(registered as TextMapPropagator, propagator),
    onContested(signal) {
      if (own === undefined || !ownSignals.includes(signal)) return
      // One by one: an SDK that registers only metrics, or only a propagator, still needs this context manager.
      clearSlot(signal)
      // From now on the slot belongs to the later SDK, and only the API protects it from a third one.
      ownSignals = ownSignals.filter((other) => other !== signal)
      if (signal === 'trace') own.yield()
    },
  })

  beforeMain(() => {
    const before = registered()
    if (before.length === 0) {
      own = startOwnSdk(redact)
      ownSignals = registered()
    }
    // Before the first line of the program, which may put doubles in place of functions of Node.js.
    joinTracesNow()
    // Again, for an SDK that the program itself starts.
    joinTraces()
    announce(own !== undefined ? 'started' : before.includes('trace') ? 'found' : 'none')
  })
}

/** Calls the registered propagator first and the relay's after it; neither changes the other. */
function composePropagators(registered: TextMapPropagator, relayed: TextMapPropagator): TextMapPropagator {
  return {
    inject(ctx, carrier, setter) {
      registered.inject(ctx, carrier, setter)
      relayed.inject(ctx, carrier, setter)
    },
    extract: (ctx, carrier, getter) => relayed.extract(registered.extract(ctx, carrier, getter), carrier, getter),
    fields: () => [...new Set([...registered.fields(), ...relayed.fields()])],
  }
}
