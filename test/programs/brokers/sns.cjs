/** Publishes to topics of SNS as a caller, with so many other attributes, under the instrumentation of the AWS SDK. */

const { context, createTraceState, trace } = require('@opentelemetry/api')
require('./otel.cjs')
const { runWithToken } = require('otel-token-relay')
const { PublishCommand, SNSClient } = require('@aws-sdk/client-sns')

const { PLAN, TOKEN, URL: endpoint } = process.env
const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
const sns = new SNSClient({ region: 'eu-central-1', endpoint, credentials })
const attribute = { DataType: 'String', StringValue: 'x' }
const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, traceState: createTraceState('a=b') }

async function main() {
  for (const { topic, own, hasState } of JSON.parse(PLAN)) {
    const MessageAttributes = Object.fromEntries(Array.from({ length: own }, (_, i) => [`own${i}`, attribute]))
    const TopicArn = `arn:aws:sns:eu-central-1:123456789012:${topic}`
    const publish = () => sns.send(new PublishCommand({ TopicArn, Message: 'order', MessageAttributes }))
    const within = hasState ? trace.setSpanContext(context.active(), parent) : context.active()
    await context.with(within, () => runWithToken(TOKEN, publish))
  }
  console.log(JSON.stringify({ published: true }))
}
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
