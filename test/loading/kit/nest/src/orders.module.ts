/** A service with NestJS: orders, whose invoices are at another service. */

import { Controller, type DynamicModule, Get, Inject, Injectable, Module } from '@nestjs/common'
import { getActiveCredential, type VerifiedCredential } from 'otel-token-relay'
import { CurrentCredential, RequireScope, TokenRelayModule } from 'otel-token-relay/nestjs'

@Injectable()
export class OrdersService {
  constructor(@Inject('BILLING') private readonly billing: string) {}

  async invoices(): Promise<unknown> {
    const response = await fetch(`${this.billing}/invoices`)
    return await response.json()
  }

  owner(): string | undefined {
    return getActiveCredential()?.subject
  }
}

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Get()
  @RequireScope('orders:read')
  async list(@CurrentCredential() caller: VerifiedCredential): Promise<object> {
    return { subject: caller.subject, invoices: await this.orders.invoices() }
  }
}

@Module({})
class OrdersModule {}

export function ordersModule(billing: string): DynamicModule {
  return {
    module: OrdersModule,
    imports: [TokenRelayModule.forRoot()],
    controllers: [OrdersController],
    providers: [OrdersService, { provide: 'BILLING', useValue: billing }],
  }
}
