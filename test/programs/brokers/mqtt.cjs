/** MQTT 5 through `mqtt`. */

const mqtt = require('mqtt')
const { asCaller, publishAsCaller } = require('otel-token-relay/mqtt')

exports.system = 'mqtt'

exports.connect = async (url) => {
  const client = await mqtt.connectAsync(url, {
    protocolVersion: 5,
    reconnectPeriod: 200,
    // What is published while its subscriber is away waits for it.
    clean: false,
    clientId: `client-${process.pid}`,
    properties: { sessionExpiryInterval: 3_600 },
  })
  client.on('error', () => undefined)
  return {
    produce: (topic, text) =>
      publishAsCaller(topic, (caller) => client.publishAsync(topic, text, { qos: 1, ...caller })),
    raw: (topic, text, userProperties) =>
      client.publishAsync(topic, text, {
        qos: 1,
        ...(Object.keys(userProperties).length > 0 && { properties: { userProperties } }),
      }),
    async consume(topic, handler, onRejected, options) {
      client.on(
        'message',
        asCaller((payload) => handler(payload.toString()), {
          ...options,
          onRejected: (_, { code }) => onRejected(code),
        }),
      )
      await client.subscribeAsync(topic, { qos: 1 })
    },
  }
}
