/** Which requests are open without a token: those for a public path, of a host that no router reads a path out of. */

// Everything else (escapes, parameters, fragments, backslashes) lets two routers read one target as two paths.
const PLAIN = /^[\w\-.~!$&'()*+,=:@/]*$/
const CLIMBING = /\/\/|\/\.{1,2}(?:\/|$)/

// RFC 3986 §3.2, without user information, escapes, and what a URL parser maps to other characters.
const PLAIN_AUTHORITY = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/**
 * Whether `authorities` are one, and plain. Routers that put the `Host` field in front of the target find the path
 * behind the first `/`, `?` or `#` of the two, and what a browser would make of other characters is longer or shorter.
 */
export function isPlainAuthority(authorities: readonly string[]): boolean {
  const [authority = '', ...others] = authorities
  return others.length === 0 && PLAIN_AUTHORITY.test(authority)
}

/** Whether all routers read `path` alike. */
export function isPlainPath(path: string): boolean {
  return path.startsWith('/') && PLAIN.test(path) && !CLIMBING.test(path)
}

/** Stands for the paths of the standard health service (gRPC Health Checking Protocol). */
export const GRPC_HEALTH = 'grpc.health.v1.Health'
const GRPC_HEALTH_PATHS = ['Check', 'List', 'Watch'].map((method) => `/${GRPC_HEALTH}/${method}`)

/**
 * Compiles public paths: exact ones (`/health`), prefixes that end in `/*`, or {@link GRPC_HEALTH}. A target is
 * compared as it stands on the wire, never decoded or cleaned: a spelling that would need it is simply not public.
 */
export function compilePublicPaths(paths: readonly string[]): (target: string) => boolean {
  if (paths.length === 0) return () => false
  const named = paths.flatMap((path) => (path === GRPC_HEALTH ? GRPC_HEALTH_PATHS : [path]))
  const exact = new Set(named.filter((path) => !path.endsWith('/*')))
  const prefixes = named.filter((path) => path.endsWith('/*')).map((path) => path.slice(0, -1))

  return (target) => {
    const query = target.indexOf('?')
    const path = query === -1 ? target : target.slice(0, query)
    if (exact.has(path)) return true
    return prefixes.some((prefix) => path.startsWith(prefix)) && isPlainPath(path)
  }
}
