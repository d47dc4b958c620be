/** Times follow the mock timers of node:test. */

import { mock, test } from 'node:test'
import times from '../times.cjs'

for (const [name, check] of Object.entries(times)) {
  test(name, async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: Date.now() })
    try {
      await check((millis) => mock.timers.tick(millis))
    } finally {
      mock.timers.reset()
    }
  })
}
