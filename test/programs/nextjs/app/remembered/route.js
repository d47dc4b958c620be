import { unstable_cache } from 'next/cache'

const ask = async () => (await fetch(`${process.env.NAMED}/remembered`)).text()
const remembered = unstable_cache(ask, ['remembered'])

/** Next.js remembers what the function has returned. */
export async function GET() {
  return new Response(await remembered())
}
export const dynamic = 'force-dynamic'
