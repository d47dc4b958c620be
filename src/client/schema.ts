/** The part of Standard Schema (https://standardschema.dev) that the client uses as the interface of validators. */

/** A validator of any library that implements Standard Schema 1. */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The result of a validator: a value, or issues. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly object[] }

/** The input type of a validator. */
export type SchemaInput<S extends Schema> = NonNullable<S['~standard']['types']>['input']

/** The output type of a validator. */
export type SchemaOutput<S extends Schema> = NonNullable<S['~standard']['types']>['output']

/**
 * Returns the output of a validator; `undefined` if it refuses or throws. Its messages may quote the value, so they are
 * dropped.
 */
export async function validate(schema: Schema, value: unknown): Promise<{ readonly value: unknown } | undefined> {
  try {
    const result = await schema['~standard'].validate(value)
    return result.issues === undefined ? { value: result.value } : undefined
  } catch {
    return undefined
  }
}

export function isSchema(value: unknown): value is Schema {
  // Some validators are functions.
  const holder = (typeof value === 'object' && value !== null) || typeof value === 'function' ? value : undefined
  const standard = (holder as Partial<Schema> | undefined)?.['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}
