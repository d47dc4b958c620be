/** The subgraph `reviews` by GraphQL Yoga: adds to a user who has asked for it. */

import { createServer } from 'node:http'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'
import { createYoga } from 'graphql-yoga'
import { getActiveCredential } from 'otel-token-relay'

const typeDefs = parse('type User @key(fields: "id") { id: ID!, reviewsFor: String! }')
const resolvers = { User: { reviewsFor: () => getActiveCredential().subject } }
const server = createServer(createYoga({ schema: buildSubgraphSchema([{ typeDefs, resolvers }]), logging: false }))
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/graphql` })}\n`)
})
