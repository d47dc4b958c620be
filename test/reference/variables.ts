/** What the source says about the variables that are not options. */

import { join } from 'node:path'
import { children, isNode, nameOf, nodesOf, readSources, SRC } from '../architecture/source.ts'
import { commentBefore, statedDefault, withoutDefault } from './options.ts'

export interface OtherVariable {
  readonly name: string
  readonly fallback: string
  readonly text: string
}

/** The constants of `register` that hold the name of a variable, with their TSDoc. */
export function readOtherVariables(): readonly OtherVariable[] {
  const file = readSources(join(SRC, 'config')).find(({ path }) => path === 'environment.ts')
  if (file === undefined) throw new Error('no file config/environment.ts')
  return nodesOf(file.tree, 'VariableDeclaration').flatMap((declaration) =>
    children(declaration, 'declarations').flatMap((declarator) => {
      const value = declarator['init']
      if (!isNode(value) || !/^TOKEN_RELAY_[A-Z]/.test(nameOf(value))) return []
      const text = commentBefore(declaration, file.text)
      const fallback = statedDefault(text)?.words ?? ''
      return [{ name: nameOf(value), fallback, text: withoutDefault(text) }]
    }),
  )
}
