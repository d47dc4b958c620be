/** Apollo Gateway: asks its subgraphs as the caller of each query, and as itself for their schemas. */

import process from 'node:process'
import { ApolloGateway, IntrospectAndCompose } from '@apollo/gateway'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { getActiveRelay, runAs } from 'otel-token-relay'

const { AUDIENCE = 'graph', PORT = '8080', USERS_URL = 'http://127.0.0.1:8081' } = process.env

const gateway = new ApolloGateway({
  supergraphSdl: new IntrospectAndCompose({ subgraphs: [{ name: 'users', url: USERS_URL }] }),
})
const server = new ApolloServer({ gateway })

// At the start there is no caller: the schemas are asked for with a token of the gateway's own.
const ownTokens = getActiveRelay().tokenSource({ grant: 'client_credentials', resource: [AUDIENCE] })
const listen = { host: '127.0.0.1', port: Number(PORT) }
const { url } = await runAs(ownTokens, () => startStandaloneServer(server, { listen }))
console.log(`gateway listens on ${url.replace(/\/$/, '')}`)
