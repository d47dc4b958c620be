/** One application per framework, in CommonJS: routes without auth code, and routes that require a scope. */

const http = require('node:http')
const { getRequestListener } = require('@hono/node-server')
const express = require('express')
const Fastify = require('fastify')
const { Hono } = require('hono')
const Koa = require('koa')
const forExpress = require('otel-token-relay/express')
const forFastify = require('otel-token-relay/fastify')
const forHono = require('otel-token-relay/hono')
const forKoa = require('otel-token-relay/koa')
const { listen, whoami } = require('./routes.cjs')

function startExpress() {
  const { authenticate, requireScope } = forExpress
  const answer = (request, response) => response.json({ ...whoami(), credential: request.credential?.subject })
  const app = express()
  app.get('/plain', answer)
  app.get('/scoped', requireScope('profiles:read'), answer)
  app.get('/admin', requireScope('admin'), answer)
  app.get('/twice', authenticate(), authenticate(), requireScope('profiles:read'), answer)
  return listen(http.createServer(app), 'express')
}

async function startFastify() {
  const { fastifyTokenRelay, requireScope } = forFastify
  const answer = async (request) => ({ ...whoami(), credential: request.credential?.subject })
  const app = Fastify()
  app.get('/plain', answer)
  app.get('/scoped', { onRequest: requireScope('profiles:read') }, answer)
  app.get('/admin', { onRequest: requireScope('admin') }, answer)
  app.register(async (scope) => {
    scope.register(fastifyTokenRelay)
    scope.get('/twice', { preHandler: requireScope('profiles:read') }, answer)
  })
  await app.ready()
  return listen(app.server, 'fastify')
}

function startKoa() {
  const { authenticate, requireScope } = forKoa
  const app = new Koa()
  const on = (path, ...middleware) => {
    for (const each of middleware) app.use((ctx, next) => (ctx.path === path ? each(ctx, next) : next()))
  }
  on('/scoped', requireScope('profiles:read'))
  on('/admin', requireScope('admin'))
  on('/twice', authenticate(), authenticate(), requireScope('profiles:read'))
  app.use((ctx) => {
    ctx.body = { ...whoami(), credential: ctx.state.credential?.subject }
  })
  return listen(http.createServer(app.callback()), 'koa')
}

function startHono() {
  const { authenticate, requireScope } = forHono
  const answer = (c) => c.json({ ...whoami(), credential: c.get('credential')?.subject })
  const app = new Hono()
  app.get('/plain', answer)
  app.get('/scoped', requireScope('profiles:read'), answer)
  app.get('/admin', requireScope('admin'), answer)
  app.get('/twice', authenticate(), authenticate(), requireScope('profiles:read'), answer)
  return listen(http.createServer(getRequestListener(app.fetch)), 'hono')
}

Promise.all([startExpress(), startFastify(), startKoa(), startHono()])
