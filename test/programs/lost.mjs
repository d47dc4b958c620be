/** Calls a service; loaded with a query, as bundlers and watchers do it. */

export async function call(url) {
  await fetch(url) // called without a caller
}
