/** The small schemas that those of the options are made of. */

import * as z from 'zod'
import { parseSecureUrl } from './verification/secure-url.ts'

export const text = (problem: string) => z.string(problem).min(1, problem)
export const millis = (fallback: number, min = 1) =>
  z
    .int(`expected whole milliseconds, at least ${min}`)
    .min(min, `expected whole milliseconds, at least ${min}`)
    .default(fallback)
export const secureUrl = (problem: string) => text(problem).refine((url) => parseSecureUrl(url) !== undefined, problem)
export const list = <T extends z.ZodType>(item: T, problem: string) => z.array(item, problem).min(1, problem)

/** An absent group of options has the defaults of its members, and inherits none from a polluted `Object.prototype`. */
export const absent = (): Record<string, never> => Object.create(null) as Record<string, never>
export const group = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape, 'expected an object')

export const SCOPES = 'expected a list of scopes'
// RFC 6749 §3.3. It also keeps them within the character set of a challenge (RFC 6750 §3).
export const scope = text(SCOPES).regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, SCOPES)

export const aFunction = <T extends (...args: never[]) => unknown>(problem: string) =>
  z.custom<T>((value) => typeof value === 'function', problem)
