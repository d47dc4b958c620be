/** SQS through the AWS SDK. */

const { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } = require('@aws-sdk/client-sqs')
const { eachAsCaller, sendAsCaller } = require('otel-token-relay/aws-sqs')

exports.system = 'aws_sqs'

exports.connect = async (url) => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new SQSClient({ region: 'eu-central-1', endpoint: url, credentials })
  const urlOf = (queue) => `${url}/123456789012/${queue}`
  const send = (queue, text, attributes) =>
    client.send(new SendMessageCommand({ QueueUrl: urlOf(queue), MessageBody: text, MessageAttributes: attributes }))
  return {
    produce: (queue, text) => sendAsCaller(queue, (attributes) => send(queue, text, attributes)),
    raw: (queue, text, headers) =>
      send(
        queue,
        text,
        Object.fromEntries(
          Object.entries(headers).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
        ),
      ),
    async consume(queue, handler, rejected, more) {
      const QueueUrl = urlOf(queue)
      const options = { ...more, onRejected: (_, { code }) => rejected(code) }
      const loop = async () => {
        for (;;) {
          const request = {
            QueueUrl,
            MaxNumberOfMessages: 10,
            MessageAttributeNames: ['All'],
            WaitTimeSeconds: 1,
            VisibilityTimeout: 4,
          }
          const { Messages = [] } = await client.send(new ReceiveMessageCommand(request))
          const { done } = await eachAsCaller(queue, Messages, ({ Body }) => handler(Body), options)
          for (const { ReceiptHandle } of done) await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
        }
      }
      const forever = () => loop().catch(() => setTimeout(forever, 200))
      void forever()
    },
  }
}
