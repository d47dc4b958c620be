/** The first application of Nest's documentation, as its command line makes it. It knows nothing of tokens. */

import { NestFactory } from '@nestjs/core'
import { AppModule } from './app.module.js'

async function bootstrap() {
  const app = await NestFactory.create(AppModule, { logger: false })
  await app.listen(0, '127.0.0.1')
  process.stdout.write(`${JSON.stringify({ port: app.getHttpServer().address().port })}\n`)
}
bootstrap()
