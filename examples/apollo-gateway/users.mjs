/** A subgraph: says who asks. */

import process from 'node:process'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'
import { getActiveCredential } from 'otel-token-relay'

const { PORT = '8081' } = process.env

const typeDefs = parse('type Query { me: User } type User @key(fields: "id") { id: ID! }')
const resolvers = { Query: { me: () => ({ id: getActiveCredential().subject }) } }
const server = new ApolloServer({ schema: buildSubgraphSchema([{ typeDefs, resolvers }]) })

const { url } = await startStandaloneServer(server, { listen: { host: '127.0.0.1', port: Number(PORT) } })
console.log(`users listens on ${url.replace(/\/$/, '')}`)
