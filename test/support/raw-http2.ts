/** Speaks HTTP/2 by hand, for what no client library would send. */

import { once } from 'node:events'
import { connect } from 'node:net'

const [HEADERS, RST_STREAM, SETTINGS, GOAWAY] = [0x1, 0x3, 0x4, 0x7]
const END_STREAM_AND_HEADERS = 0x5

/** Statuses that have an entry in the static table (RFC 7541, appendix A). */
const STATUSES: Readonly<Record<number, number>> = { 136: 200, 140: 400, 141: 404, 142: 500 }

/** Sends one GET with `fields` as they are, and resolves with its status; `undefined` if it is none of the table, or no answer. */
export async function statusOverHttp2(
  port: number,
  fields: readonly (readonly [string, string])[],
  { path = '/', authority = 'a' } = {},
): Promise<number | undefined> {
  const values = ['GET', path, 'http', authority]
  const pseudo = [':method', ':path', ':scheme', ':authority'].map((name, i) => [name, values[i]])
  const block = [...pseudo, ...fields].map(([name = '', value = '']) => literal(name, value))
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  socket.write(Buffer.concat([frame(SETTINGS, 0, 0), frame(HEADERS, END_STREAM_AND_HEADERS, 1, Buffer.concat(block))]))
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer])
    const answer = framesOf(received).find(({ type }) => [HEADERS, RST_STREAM, GOAWAY].includes(type))
    if (answer === undefined) continue
    socket.destroy()
    return answer.type === HEADERS ? STATUSES[answer.payload[0] ?? 0] : undefined
  }
  throw new Error('the connection was closed without an answer')
}

/** RFC 9113 §4.1. */
function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

function framesOf(bytes: Buffer): readonly { readonly type: number; readonly payload: Buffer }[] {
  const frames: { type: number; payload: Buffer }[] = []
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    frames.push({ type: bytes.readUInt8(at + 3), payload: bytes.subarray(at + 9, end) })
    at = end
  }
  return frames
}

/** A field that is not indexed, with a literal name (RFC 7541 §6.2.2). */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}

/** RFC 7541 §5.2, without Huffman coding; lengths have a prefix of 7 bits (§5.1). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest = rest >> 7) length.push((rest % 128) + 128)
  length.push(rest)
  return Buffer.concat([Buffer.from(length), bytes])
}
