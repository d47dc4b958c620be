/** An ES-module service without any auth code; it takes its HTTP functions as named imports. */

import { createServer, request } from 'node:http'
import routes from './routes.cjs'

const overrides = {
  http: (url, headers) =>
    new Promise((resolve, reject) => {
      request(url, { headers }, (response) => {
        response
          .resume()
          .on('end', () => resolve({ status: response.statusCode, subjectAfter: routes.whoami().subject }))
      })
        .on('error', reject)
        .end()
    }),
}

await routes.listen(createServer((incoming, response) => routes.answer(incoming, response, overrides)))
