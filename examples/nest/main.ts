/** NestJS: every handler knows its caller, some ask for a scope, and fetch takes the caller along. */

import 'reflect-metadata'
import process from 'node:process'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { VerifiedCredential } from 'otel-token-relay'
import { CurrentCredential, RequireScope, TokenRelayModule } from 'otel-token-relay/nestjs'

const { PORT = '8080', PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

@Controller()
class AppController {
  @Get('me')
  async me(@CurrentCredential() caller: VerifiedCredential) {
    const profile = await fetch(PROFILE_URL)
    return { caller: caller.subject, profile: await profile.json() }
  }

  // Authorization stays here: 403 without the scope.
  @Get('invoices')
  @RequireScope('invoices:read')
  invoices(@CurrentCredential() caller: VerifiedCredential) {
    return { caller: caller.subject, invoices: [] }
  }

  @Get('admin')
  @RequireScope('admin')
  admin() {
    return { admin: true }
  }
}

// The guard of all controllers, for handlers that work as their caller whatever Nest puts between.
@Module({ imports: [TokenRelayModule.forRoot()], controllers: [AppController] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] })
await app.listen(Number(PORT), '127.0.0.1')
console.log(`nest listens on ${await app.getUrl()}`)
