/** The same server as an ES module. */

import '@grpc/grpc-js'
import './server.cjs'
