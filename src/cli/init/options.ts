/** What the command line says to `init`. */

export interface InitOptions {
  readonly issuer?: string
  readonly audience?: readonly string[]
  readonly destination?: readonly string[]
  readonly mode: 'require' | 'optional' | 'report'
  readonly file: string
  readonly force?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}
