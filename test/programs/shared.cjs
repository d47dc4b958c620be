/** A service that calls on through undici's cache or deduplication, which all of its callers share. */

const http = require('node:http')
const undici = { 7: require('undici-7'), 8: require('undici') }
const { serve } = require('./shared-routes.cjs')

serve(http, undici)
