import { Controller, Get, Query } from '@nestjs/common'
import { AppService } from './app.service.js'

@Controller()
export class AppController {
  constructor(private readonly appService: AppService) {}

  @Get()
  getHello(): string {
    return this.appService.getHello()
  }

  @Get('profile')
  getProfile(@Query('url') url: string): Promise<number> {
    return this.appService.getProfile(url)
  }
}
