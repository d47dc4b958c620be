/** The version of Node that a test runs on: some tests use what the oldest supported one does not have. */

import process from 'node:process'

export const NODE_MAJOR = Number(process.versions.node.split('.')[0])

/** Rows of a table about what Node 22 does not have. */
export function fromNode24<T>(...rows: readonly T[]): readonly T[] {
  return NODE_MAJOR < 24 ? [] : rows
}
