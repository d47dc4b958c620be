/** The subgraph `users` by Apollo: who asks, and who has asked so far. */

import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'
import { getActiveCredential } from 'otel-token-relay'

const callers = new Set()
const typeDefs = parse('type Query { me: User, callers: [String!]! } type User @key(fields: "id") { id: ID! }')
const resolvers = {
  Query: { me: () => ({ id: getActiveCredential().subject }), callers: () => [...callers] },
}
const server = new ApolloServer({ schema: buildSubgraphSchema([{ typeDefs, resolvers }]) })
const { url } = await startStandaloneServer(server, {
  listen: { port: 0, host: '127.0.0.1' },
  context: async () => void callers.add(getActiveCredential().subject) ?? {},
})
process.stdout.write(`${JSON.stringify({ url })}\n`)
