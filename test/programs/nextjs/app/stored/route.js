/** Next.js may store the response. */
export async function GET() {
  return new Response(await (await fetch(`${process.env.NAMED}/stored`, { next: { revalidate: 60 } })).text())
}
export const dynamic = 'force-dynamic'
