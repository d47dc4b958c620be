/** Standard Schema (https://standardschema.dev), the interface that validators share: as much of it as is used here. */

/** A validator of any library that implements Standard Schema 1. */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a validator says: a value, or what is wrong. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly object[] }

/** What a validator takes. */
export type SchemaInput<S extends Schema> = NonNullable<S['~standard']['types']>['input']

/** What a validator makes of it. */
export type SchemaOutput<S extends Schema> = NonNullable<S['~standard']['types']>['output']

/** What a validator made of a value; `undefined` where it refuses, or fails. Its texts may quote the value: they are dropped. */
export async function validate(schema: Schema, value: unknown): Promise<{ readonly value: unknown } | undefined> {
  try {
    const result = await schema['~standard'].validate(value)
    return result.issues === undefined ? { value: result.value } : undefined
  } catch {
    return undefined
  }
}

export function isSchema(value: unknown): value is Schema {
  // Some are functions.
  const holder = (typeof value === 'object' && value !== null) || typeof value === 'function' ? value : undefined
  const standard = (holder as Partial<Schema> | undefined)?.['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}
