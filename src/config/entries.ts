/** Lists the options one by one, as their schema declares them. */

import * as v from 'valibot'
import { optionsSchema } from './options.ts'
import type { Variable } from './parts.ts'

/** One option, or a group or list of them. */
export interface OptionEntry {
  /** Such as `issuers[].keySet.timeoutMillis`. */
  readonly path: string
  readonly variable: Variable | undefined
  /** Whether it has options below it, which are entries too. */
  readonly isGroup: boolean
}

/** Every option of a relay, groups before their members. */
export function listOptionEntries(): readonly OptionEntry[] {
  return membersOf(optionsSchema, '')
}

/** What schemas of options are made of; each has some of these. */
interface Parts extends v.GenericSchema {
  /** The members of a group. */
  readonly members?: Readonly<Record<string, v.GenericSchema>>
  readonly item?: v.GenericSchema
  readonly wrapped?: v.GenericSchema
}

function membersOf(schema: v.GenericSchema, prefix: string): readonly OptionEntry[] {
  const { members = {} }: Parts = schema
  return Object.entries(members).flatMap(([name, member]) => {
    const path = `${prefix}${name}`
    const { wrapped = member }: Parts = member
    const { item }: Parts = wrapped
    const below = item === undefined ? membersOf(wrapped, `${path}.`) : membersOf(item, `${path}[].`)
    const { variable } = v.getMetadata(member) as { readonly variable?: Variable }
    return [{ path, variable, isGroup: below.length > 0 }, ...below]
  })
}
