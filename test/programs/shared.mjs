/** The same as an ES module that imports what it needs by name. */

import * as http from 'node:http'
import { Agent as Agent8, interceptors as interceptors8, request as request8 } from 'undici'
import { Agent as Agent7, interceptors as interceptors7, request as request7 } from 'undici-7'
import { serve } from './shared-routes.cjs'

serve(http, {
  7: { Agent: Agent7, interceptors: interceptors7, request: request7 },
  8: { Agent: Agent8, interceptors: interceptors8, request: request8 },
})
