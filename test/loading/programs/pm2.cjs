/** Starts the application that an ecosystem file would describe, and reports its port. */

const pm2 = require('pm2')

const { APP, PM2_HOME } = process.env
if (PM2_HOME === undefined) throw new Error('pm2 needs a home for this run')

pm2.connect(true, (failure) => {
  if (failure) throw failure
  pm2.launchBus((_, bus) => {
    bus.on('process:exception', ({ data }) => process.stderr.write(`${data.message}\n`))
    bus.on('process:event', ({ event }) => {
      if (event === 'exit') process.stdout.write(`${JSON.stringify({ exited: true })}\n`)
    })
    bus.on('process:msg', ({ data }) => process.stdout.write(`${JSON.stringify(data)}\n`))
    pm2.start({ ...JSON.parse(APP), instances: 1, autorestart: false }, (error) => {
      if (error) throw error
    })
  })
})
process.once('SIGTERM', () => pm2.delete('all', () => process.exit()))
