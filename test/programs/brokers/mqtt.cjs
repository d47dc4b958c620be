/** MQTT 5 through `mqtt`. */

const mqtt = require('mqtt')
const { asCaller, publishAsCaller } = require('otel-token-relay/mqtt')

exports.system = 'mqtt'

exports.connect = async (url) => {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 })
  return {
    produce: (topic, text) =>
      publishAsCaller(topic, (caller) => client.publishAsync(topic, text, { qos: 1, ...caller })),
    raw: (topic, text, userProperties) =>
      client.publishAsync(topic, text, {
        qos: 1,
        ...(Object.keys(userProperties).length > 0 && { properties: { userProperties } }),
      }),
    async consume(topic, handler, onRejected) {
      client.on(
        'message',
        asCaller((payload) => handler(payload.toString()), { onRejected: (_, { code }) => onRejected(code) }),
      )
      await client.subscribeAsync(topic, { qos: 1 })
    },
  }
}
