import { Injectable } from '@nestjs/common'

@Injectable()
export class AppService {
  getHello(): string {
    return 'Hello World!'
  }

  /** A call to another service, as any service makes. */
  async getProfile(url: string): Promise<number> {
    const response = await fetch(url)
    return response.status
  }
}
