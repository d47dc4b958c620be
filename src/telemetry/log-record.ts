/** The records of the operator's log, as a function of the application gets them. */

/** `info` is what is in order, such as an admitted caller; `warn` and `error` are for the operator to act on. */
export type LogSeverity = 'info' | 'warn' | 'error'

/** One line of the log. It holds configured values and kinds of what was found: no token, and no value of a claim. */
export interface LogRecord {
  readonly severity: LogSeverity
  /** `start`, `problem`, or an event of the events' table: `auth.token.rejected`. */
  readonly event: string
  /** Such as `401 ERR_TOKEN_TYPE: typ is "JWT", issuers[0].typ accepts "at+jwt"`. Without control characters. */
  readonly message: string
  /** How many records of the same cause were left out before this one. */
  readonly omitted: number
  /** As on spans, such as `error.type` and `auth.decision.destination`; `trace_id` and `span_id` if there is a span. */
  readonly attributes: Readonly<Record<string, unknown>>
}

/** A logger of the application. It must not throw; what it sends carries no token. */
export type RelayLogger = (record: LogRecord) => void

/** `problems`: what an operator has to know. `decisions`: every decision about a token as well. */
export type LogLevel = 'off' | 'problems' | 'decisions'

/** What happened, before it is known whether there is room for it. */
export interface LogEntry extends Pick<LogRecord, 'severity' | 'event' | 'message'> {
  /** Entries with one cause are limited together. Bounded by the configuration, never by requests. */
  readonly cause: string
  readonly attributes?: () => Readonly<Record<string, unknown>>
}
