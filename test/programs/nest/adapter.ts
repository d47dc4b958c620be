/** An application that uses the adapter, on both platforms, protected as a whole or in parts. */

import type { ArgumentsHost, ExceptionFilter, INestApplication } from '@nestjs/common'
import {
  Catch,
  Controller,
  Get,
  Module,
  Post,
  Query,
  Req,
  UnauthorizedException,
  UseFilters,
  UseGuards,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { VerifiedCredential } from 'otel-token-relay'
import { createTokenRelay, getActiveCredential } from 'otel-token-relay'
import {
  Authenticate,
  CurrentCredential,
  Public,
  RequireRole,
  RequireScope,
  TokenRelayGuard,
  TokenRelayModule,
} from 'otel-token-relay/nestjs'

if (process.env['RELAY_OPTIONS'] !== undefined) createTokenRelay(JSON.parse(process.env['RELAY_OPTIONS']))

const handled: string[] = []

function seen(name: string, caller?: VerifiedCredential) {
  handled.push(name)
  return { caller: caller?.subject ?? null, active: getActiveCredential()?.subject ?? null }
}

@Controller('whole')
class WholeController {
  @Get('me')
  async me(@CurrentCredential() caller: VerifiedCredential) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return seen('me', caller)
  }

  @Post('body')
  body(@Req() request: { body: unknown }) {
    return { ...seen('body'), body: request.body }
  }

  @Get('call')
  async call(@Query('url') url: string) {
    return { ...seen('call'), status: (await fetch(url)).status }
  }

  @Get('health')
  @Public()
  health(@CurrentCredential() caller: VerifiedCredential | undefined) {
    return seen('health', caller)
  }

  @Get('scoped')
  @RequireScope('profiles:read')
  @RequireScope('invoices:read')
  scoped() {
    return seen('scoped')
  }

  @Get('lacking')
  @RequireScope('profiles:read', 'profiles:write')
  lacking() {
    return seen('lacking')
  }

  @Get('any')
  @RequireScope({ anyOf: ['profiles:write', 'profiles:read'] })
  @RequireRole('auditor', { anyOf: ['admin', 'owner'] })
  any() {
    return seen('any')
  }
}

@Controller('scoped')
@RequireScope('profiles:read')
class ScopedController {
  @Get('read')
  read() {
    return seen('read')
  }

  @Get('write')
  @RequireScope('profiles:write')
  write() {
    return seen('write')
  }

  @Get('open')
  @Public()
  open() {
    return seen('open')
  }
}

@Controller('open')
@Public()
class OpenController {
  @Get('health')
  health() {
    return seen('open health')
  }

  @Get('scoped')
  @RequireScope('profiles:read')
  scoped() {
    return seen('open scoped')
  }

  @Get('role')
  @RequireRole('admin')
  role() {
    return seen('open role')
  }
}

@Catch(UnauthorizedException)
class OwnFilter implements ExceptionFilter {
  catch(exception: UnauthorizedException, host: ArgumentsHost) {
    const { code } = exception.cause as { code: string }
    host.switchToHttp().getResponse().status(401).send({ own: code })
  }
}

@Controller('parts')
class PartsController {
  @Get('guarded')
  @UseGuards(TokenRelayGuard)
  guarded(@CurrentCredential() caller: VerifiedCredential) {
    return seen('guarded', caller)
  }

  @Get('authenticated')
  @Authenticate({ mode: 'optional' })
  authenticated() {
    return seen('authenticated')
  }

  @Get('filtered')
  @Authenticate()
  @UseFilters(OwnFilter)
  filtered() {
    return seen('filtered')
  }

  @Get('unprotected')
  unprotected() {
    return seen('unprotected')
  }
}

@Module({
  imports: [TokenRelayModule.forRoot()],
  controllers: [WholeController, ScopedController, OpenController],
})
class WholeModule {}

@Module({ controllers: [PartsController, ScopedController] })
class PartsModule {}

async function listen(app: INestApplication, name: string) {
  await app.listen(0, '127.0.0.1')
  process.stdout.write(`${JSON.stringify({ [name]: app.getHttpServer().address().port })}\n`)
}

const logger = false
await listen(await NestFactory.create(WholeModule, new ExpressAdapter(), { logger }), 'express whole')
await listen(await NestFactory.create(WholeModule, new FastifyAdapter(), { logger }), 'fastify whole')
await listen(await NestFactory.create(PartsModule, new ExpressAdapter(), { logger }), 'express parts')
await listen(await NestFactory.create(PartsModule, new FastifyAdapter(), { logger }), 'fastify parts')
process.stdin.on('data', () => process.stdout.write(`${JSON.stringify({ handled: handled.splice(0) })}\n`))
