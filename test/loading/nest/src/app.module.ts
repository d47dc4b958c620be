/** Every controller is for callers only. */

import { Controller, Get, Module } from '@nestjs/common'
import type { VerifiedCredential } from 'otel-token-relay'
import { CurrentCredential, RequireScope, TokenRelayModule } from 'otel-token-relay/nestjs'

@Controller()
export class AppController {
  @Get()
  subject(@CurrentCredential() credential: VerifiedCredential): string {
    return credential.subject
  }

  @Get('orders')
  @RequireScope('orders:read')
  orders(): readonly string[] {
    return []
  }
}

@Module({ imports: [TokenRelayModule.forRoot()], controllers: [AppController] })
export class AppModule {}
