/** Checks the lines of a trail one after the other: whether each is intact, and follows the one before it. */

import type { AuditHead, AuditKey, AuditLine, ReadLine } from './line.ts'
import { GENESIS, isPutAside, readLine } from './line.ts'
import { isTornLine } from './recovery.ts'

export type AuditProblem =
  | 'changed'
  | 'out_of_place'
  | 'other_trail'
  | 'beginning_missing'
  | 'end_missing'
  | 'head_missing'
  | 'head_unreadable'
  | 'head_differs'

export interface CheckedLine {
  /** `undefined` if a byte of it was changed. */
  readonly line: AuditLine | undefined
  readonly problems: readonly AuditProblem[]
}

export class ChainCheck {
  readonly #expected: string | undefined
  readonly #head: AuditHead | undefined
  readonly #key: AuditKey
  #last: AuditLine | undefined
  /** Id that the next line must have. */
  #trail: string | undefined
  /** Id that was found first, in the head or a line. */
  #found: string | undefined
  /** Whether the previous line was changed: the next one can be checked by its sequence only, not by its hash. */
  #isBlind = false

  /** `expected` is the id that the trail must have, if that is known. */
  constructor(expected: string | undefined, head: AuditHead | undefined, key: AuditKey) {
    this.#expected = expected
    this.#head = head
    this.#key = key
    this.#trail = expected ?? head?.trail
    this.#found = head?.trail
  }

  /** Sequence of the last line so far. */
  get reached(): number {
    return this.#last?.sequence ?? 0
  }

  get trail(): string | undefined {
    return this.#found
  }

  check(text: string, isFirstOfNewest: boolean): CheckedLine {
    const line = readLine(text, undefined, this.#key)
    if (line === undefined) {
      if (this.#last !== undefined) this.#last = { ...this.#last, sequence: this.#last.sequence + 1 }
      this.#isBlind = true
      return { line, problems: ['changed'] }
    }
    const problems = this.#problemsOf(text, line, isFirstOfNewest)
    this.#last = line
    this.#trail = line.trail
    this.#found ??= line.trail
    this.#isBlind = false
    return { line, problems }
  }

  /** Whether a crash can have left `text` after the last line. */
  canBeTorn(text: string): boolean {
    return isTornLine(Buffer.from(text, 'latin1'), this.#last ?? this.#head ?? GENESIS)
  }

  /** Returns the problem that the end of the trail has, if any. */
  findProblemAtEnd(): AuditProblem | undefined {
    const [head, last, expected] = [this.#head, this.#last, this.#expected]
    if (head === undefined) return 'head_missing'
    if (last === undefined && expected !== undefined && expected !== head.trail) return 'other_trail'
    const isWhole = last === undefined ? isPutAside(head) : last.sequence >= head.sequence
    return isWhole ? undefined : 'end_missing'
  }

  #problemsOf(text: string, line: ReadLine, isFirstOfNewest: boolean): readonly AuditProblem[] {
    const problems: AuditProblem[] = []
    if (!this.#follows(text, line)) problems.push('out_of_place')
    if (this.#trail !== undefined && line.trail !== this.#trail) problems.push('other_trail')
    if (isFirstOfNewest && !this.#beginsAtHead(line)) problems.push('beginning_missing')
    if (line.sequence === this.#head?.sequence && line.hash !== this.#head.hash) problems.push('head_differs')
    return problems
  }

  #follows(text: string, line: ReadLine): boolean {
    // A trail may begin anywhere: its older files may be elsewhere.
    if (this.#last === undefined) return true
    if (this.#isBlind) return line.sequence === this.#last.sequence + 1
    return readLine(text, this.#last, this.#key) !== undefined
  }

  /** A file that is about to be put aside begins before the line that its head announces. */
  #beginsAtHead(line: ReadLine): boolean {
    return this.#head === undefined || line.sequence === this.#head.first || isPutAside(this.#head)
  }
}
