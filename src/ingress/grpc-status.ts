/** How gRPC says what HTTP says with a status. */

const CODES: Readonly<Record<number, number>> = {
  400: 16,
  401: 16,
  403: 7,
  503: 14,
}

/** UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE; UNKNOWN for what is none of our answers. */
export function grpcStatusOf(status: number): number {
  return CODES[status] ?? 2
}
