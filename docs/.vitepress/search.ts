/** How the search of the site ranks what it finds: titles first, guides before lists, words that ask left out. */

import type { DefaultTheme } from 'vitepress'

/** The functions also run in the browser, from their text: they use nothing outside of themselves. */
export const SEARCH: DefaultTheme.LocalSearchOptions = {
  // The pages of TypeDoc have a heading for each member, more than all other pages together. `exports` leads to them.
  _render: (source, env, md) => (env.relativePath.startsWith('reference/api/') ? '' : md.render(source, env)),
  miniSearch: {
    options: {
      // `ERR_TOKEN_AUDIENCE` is one word, besides being three.
      tokenize: (text) => [...text.split(/[\n\r\p{Z}\p{P}]+/u), ...(text.match(/\w+_\w+/g) ?? [])],
      processTerm(term) {
        const word = term.toLowerCase()
        const asks =
          ' a after an and are can do does for from how i in is it my of on or the to what when where why with '
        return asks.includes(` ${word} `) ? null : word.replace(/(?<=\w{3}[^s])s$/, '')
      },
    },
    searchOptions: {
      fuzzy: 0.1,
      prefix: (term) => term.length > 2,
      boost: { title: 6, titles: 3, text: 1 },
      boostDocument(id) {
        const path = `${id}`
        if (/\/(contribute|reference\/conformance)/.test(path)) return 0.3
        return /\/(start|guides)\//.test(path) ? 2 : 1
      },
    },
  },
}
