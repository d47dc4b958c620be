/** Whether anyone can register a name below another one (https://publicsuffix.org). */

import { createRequire } from 'node:module'

type Tables = Pick<typeof import('tldts'), 'getPublicSuffix'>

let tables: Tables | undefined

export function isPublicSuffix(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '')
  tables ??= loadTables()
  return tables.getPublicSuffix(name, { allowPrivateDomains: true }) === name
}

/** They are large, and only rules with a wildcard need them. Bundlers understand one of these calls, or both. */
function loadTables(): Tables {
  try {
    return createRequire(import.meta.url)('tldts') as Tables
  } catch {
    return require('tldts') as Tables
  }
}
