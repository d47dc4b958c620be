import { Injectable } from '@nestjs/common'

@Injectable()
export class AppService {
  getHello(): string {
    return 'Hello World!'
  }

  /** A call to somebody else, as any service makes. */
  async getProfile(url: string): Promise<number> {
    const response = await fetch(url)
    return response.status
  }
}
