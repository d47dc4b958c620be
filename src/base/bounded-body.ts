/** Reads bodies of other servers, which may be endless. */

/** Resolves with all bytes of `body`, or `undefined` if there are more than `maxBytes`: the rest is not read. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | null,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of body ?? []) {
    total += chunk.byteLength
    // Leaving the loop cancels the rest.
    if (total > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Decodes UTF-8 strictly, for JSON: a byte order mark stays, and `JSON.parse` refuses it (RFC 8259 §8.1). */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
}
