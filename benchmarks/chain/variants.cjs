/**
 * The relay as the services use it, and with parts taken out, to see what each part costs. A part that no option switches
 * off is replaced while it is loaded, so that the product needs no switch for it.
 */

const { registerHooks } = require('node:module')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')

const DIST = pathToFileURL(join(__dirname, '../../dist/')).href

/** What the functions of a part return instead. */
const STAND_INS = {
  events: { recordOnSpan: 'undefined', copyToSpan: 'undefined' },
  metrics: { measureVerification: 'undefined', measureDecision: 'undefined' },
  egress: { installEgress: '{ onInject: () => true, uninstall: () => undefined }' },
}

/** `copies`: the services copy the header by hand. `extracts`: OpenTelemetry has the relay read incoming headers. */
const VARIANTS = {
  relay: { without: [], ingress: {}, copies: false, extracts: true },
  'no-events': { without: ['events'], ingress: {}, copies: false, extracts: true },
  'no-events-metrics': { without: ['events', 'metrics'], ingress: {}, copies: false, extracts: true },
  'ingress-only': { without: ['egress'], ingress: {}, copies: true, extracts: true },
  'open-gate': { without: ['egress'], ingress: { mode: 'off' }, copies: true, extracts: true },
  'no-extraction': { without: ['egress'], ingress: { mode: 'off' }, copies: true, extracts: false },
}

/** Starts the relay of `mode` with `options`; `undefined` if the mode has none. */
exports.startRelay = (mode, options) => {
  const variant = VARIANTS[mode]
  if (variant === undefined) return undefined
  const missing = replaceFunctions(Object.assign({}, ...variant.without.map((part) => STAND_INS[part])))
  const { createTokenRelay } = require('../../dist/index.js')
  // Renamed, for example: nothing would be taken out.
  if (missing.size > 0) throw new Error(`${mode}: the relay has no function ${[...missing]}`)
  const { propagator, instrumentation } = createTokenRelay({ ...options, ingress: variant.ingress })
  return { propagators: variant.extracts ? [propagator] : [], instrumentation, copies: variant.copies }
}

/** Has these functions of the relay return what is given. Returns the names of those that have not been loaded yet. */
function replaceFunctions(values) {
  const missing = new Set(Object.keys(values))
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.startsWith(DIST) || loaded.format !== 'module') return loaded
      let source = String(loaded.source)
      for (const [name, value] of Object.entries(values)) {
        const declaration = new RegExp(`^function ${name}\\(`, 'm')
        if (!declaration.test(source)) continue
        missing.delete(name)
        source = `${source.replace(declaration, `function ${name}_original(`)}\nfunction ${name}() { return ${value} }\n`
      }
      return { ...loaded, source, shortCircuit: true }
    },
  })
  return missing
}
