/** Redacts everything that a started OpenTelemetry SDK exports: spans and log records. */

import { isObject } from '../base/own-property.ts'
import type { TokenRelay } from '../relay/relay.ts'

type Redact = TokenRelay['redact']

/** More objects than an SDK consists of, in any configuration. */
const MAX_OBJECTS = 5_000

/**
 * Wraps the processors of all providers that `sdk` holds. The SDK creates its exporters from the environment and offers
 * no way to wrap them, so the processors are found by their methods. Returns whether everything that is exported is
 * redacted.
 */
export function redactExports(sdk: object, redact: Redact): boolean {
  return objectsIn(sdk)
    .filter(isProvider)
    .every((provider) => wrapProcessors(provider, redact))
}

function wrapProcessors(provider: object, redact: Redact): boolean {
  const lists = objectsIn(provider).filter(isProcessorList)
  for (const list of lists) {
    for (const [number, processor] of list.entries()) list[number] = redact(processor)
  }
  return lists.length > 0
}

function isProvider(value: object): boolean {
  return (has(value, 'getTracer') || has(value, 'getLogger')) && has(value, 'shutdown')
}

function isProcessorList(value: object): value is object[] {
  return Array.isArray(value) && value.length > 0 && value.every(isProcessor)
}

function isProcessor(value: unknown): boolean {
  return isObject(value) && (has(value, 'onEnd') || has(value, 'onEmit')) && has(value, 'shutdown')
}

function has(value: object, method: string): boolean {
  return typeof Reflect.get(value, method) === 'function'
}

/** `root` and all objects that can be reached from its members. */
function objectsIn(root: object): readonly object[] {
  const found = new Set([root])
  for (const object of found) {
    if (found.size > MAX_OBJECTS) break
    for (const { value } of Object.values(Object.getOwnPropertyDescriptors(object))) {
      if (isObject(value)) found.add(value)
    }
  }
  return [...found]
}
