import { createElement } from 'react'

/** Two requests of one page are one for React; the response to the first must not be stored for the second. */
export default async function Page() {
  const url = `${process.env.NAMED}/joined`
  const [first, second] = await Promise.all([fetch(url), fetch(url, { next: { revalidate: 60 } })])
  return createElement('p', {}, `${await first.text()}, ${await second.text()}`)
}
export const dynamic = 'force-dynamic'
