/** As much of SNS as it takes to publish: what was published, and the messages of SQS that it makes of that. */

import { createServer } from 'node:http'
import { close, listen } from './issuer.ts'

export interface Published {
  readonly topic: string
  readonly message: string
  /** Names and values, in their order. */
  readonly attributes: Readonly<Record<string, string>>
}

export interface Sns extends AsyncDisposable {
  readonly url: string
  readonly published: readonly Published[]
}

export async function startSns(): Promise<Sns> {
  const published: Published[] = []
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(await new Response(request as unknown as ReadableStream).text())
    published.push(publishedIn(form))
    response.setHeader('content-type', 'text/xml')
    response.end(ANSWER)
  })
  const url = `http://127.0.0.1:${await listen(server)}`
  return { url, published, [Symbol.asyncDispose]: () => close(server) }
}

const ANSWER = `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">
  <PublishResult><MessageId>00000000-0000-4000-8000-000000000000</MessageId></PublishResult>
  <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000001</RequestId></ResponseMetadata>
</PublishResponse>`

/** The query protocol of AWS: `MessageAttributes.entry.1.Name`, `MessageAttributes.entry.1.Value.StringValue`. */
function publishedIn(form: URLSearchParams): Published {
  const attributes: Record<string, string> = {}
  for (let i = 1; ; i += 1) {
    const name = form.get(`MessageAttributes.entry.${i}.Name`)
    if (name === null) break
    attributes[name] = form.get(`MessageAttributes.entry.${i}.Value.StringValue`) ?? ''
  }
  return { topic: form.get('TopicArn')?.split(':').at(-1) ?? '', message: form.get('Message') ?? '', attributes }
}

/** The body of the message that a subscription puts into its queue, unless it says "raw message delivery". */
export function envelopeOf({ topic, message, attributes }: Published): string {
  return JSON.stringify({
    Type: 'Notification',
    MessageId: '00000000-0000-4000-8000-000000000000',
    TopicArn: `arn:aws:sns:eu-central-1:123456789012:${topic}`,
    Message: message,
    Timestamp: '2026-01-02T03:04:05.678Z',
    SignatureVersion: '1',
    MessageAttributes: Object.fromEntries(
      Object.entries(attributes).map(([name, Value]) => [name, { Type: 'String', Value }]),
    ),
  })
}

/** The attributes of the message that a subscription with raw message delivery puts into its queue. */
export function rawAttributesOf({
  attributes,
}: Published): Record<string, { DataType: 'String'; StringValue: string }> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
  )
}
