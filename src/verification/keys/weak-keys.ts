/** Keys of which the private part, or a signature that always verifies, can be computed. */

const GENERATOR = 65_537
// Small primes over which the ROCA generator leaves a pattern (CVE-2017-15361).
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
].concat([107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167])

const RESIDUES = PRIMES.map((prime) => ({ prime: BigInt(prime), powers: powersOf(GENERATOR % prime, prime) }))

function powersOf(base: number, prime: number): ReadonlySet<number> {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * base) % prime) powers.add(power)
  return powers
}

/** Whether `modulus` has the fingerprint of Infineon's broken generator: a power of 65537 modulo each small prime. */
export function isRocaModulus(modulus: bigint): boolean {
  return RESIDUES.every(({ prime, powers }) => powers.has(Number(modulus % prime)))
}

/**
 * The y coordinates, little-endian and without sign bit, of the Ed25519 points of order 1, 2, 4 and 8 (RFC 8032 §5.1).
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  `00${'00'.repeat(31)}`,
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
])

/** Whether `point` has small order: under such a key one signature verifies for many messages. */
export function isSmallOrder(point: Uint8Array): boolean {
  const y = Buffer.from(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return SMALL_ORDER.has(y.toString('hex'))
}
