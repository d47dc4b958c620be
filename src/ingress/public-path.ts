/** Which request targets are open without a token. */

// Everything else (escapes, parameters, fragments, backslashes) lets two routers read one target as two paths.
const PLAIN = /^[\w\-.~!$&'()*+,=:@/]*$/
const CLIMBING = /\/\/|\/\.{1,2}(?:\/|$)/

/** Whether all routers read `path` alike. */
export function isPlainPath(path: string): boolean {
  return path.startsWith('/') && PLAIN.test(path) && !CLIMBING.test(path)
}

/**
 * Compiles public paths: exact ones (`/health`), or prefixes that end in `/*`. A target is compared as it stands on the
 * wire, never decoded or cleaned: a spelling that would need it is simply not public.
 */
export function compilePublicPaths(paths: readonly string[]): (target: string) => boolean {
  const exact = new Set(paths.filter((path) => !path.endsWith('/*')))
  const prefixes = paths.filter((path) => path.endsWith('/*')).map((path) => path.slice(0, -1))
  // Lenient routers take `/assets/` for `/assets`, which is not below it.
  const isBelow = (path: string, prefix: string): boolean =>
    path.startsWith(prefix) && (path.length > prefix.length || prefix === '/')

  return (target) => {
    const query = target.indexOf('?')
    const path = query === -1 ? target : target.slice(0, query)
    if (exact.has(path)) return true
    return prefixes.some((prefix) => isBelow(path, prefix)) && isPlainPath(path)
  }
}
