/**
 * The clients of the conformance matrix and of the rigs, one entry each:
 *
 * - `name`: the row of the matrix.
 * - `call(url, { headers, signal, limited })`: asks for `url` and reads the answer to its end. `limited`: through a pool
 *   of two connections that all callers share.
 * - `follows`, `retries`, `limits`: whether it follows redirects, asks again after a 503, can limit its connections.
 * - `scheme`: of the destinations it is tried with: `http`, `https`, `h2`, `grpc` or `grpcs`; `http` where it is not said.
 */

module.exports = ['node', 'npm', 'agents', 'undici', 'grpc'].flatMap((name) => require(`./${name}.cjs`))
