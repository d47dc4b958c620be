/** Asks anew for each caller. */
export async function GET() {
  return new Response(await (await fetch(`${process.env.NAMED}/each`)).text())
}
export const dynamic = 'force-dynamic'
