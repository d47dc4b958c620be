/** A plugin of TypeDoc: modules are called as they are imported, `express` instead of `ingress/adapters/express`. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Converter, ReflectionKind } from 'typedoc'

const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))

const names = new Map(
  Object.entries(manifest.exports).flatMap(([path, entry]) => {
    if (typeof entry === 'string') return []
    const module = entry.types.replace('./dist/', '').replace('.d.ts', '')
    return [[module, path === '.' ? manifest.name : path.slice('./'.length)]]
  }),
)

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const module of context.project.getReflectionsByKind(ReflectionKind.Module)) {
      const source = module.sources?.[0]?.fullFileName.split('/src/').at(-1)?.replace(/\.ts$/, '')
      const name = names.get(source)
      if (name === undefined) throw new Error(`package.json does not export ${module.name}`)
      module.name = name
    }
  })
}
