/** A CommonJS service without any auth code. */

const http = require('node:http')
const { answer, listen } = require('./routes.cjs')

listen(http.createServer((request, response) => answer(request, response)))
