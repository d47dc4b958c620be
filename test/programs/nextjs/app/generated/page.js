import { createElement } from 'react'

/** Next.js renders this page again and again, in a request of any caller, and stores it for all. */
export default async function Page() {
  const response = await fetch(`${process.env.NAMED}/generated`).catch(() => undefined)
  return createElement('p', {}, response === undefined ? 'nothing yet' : await response.text())
}
export const revalidate = 1
