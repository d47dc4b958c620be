/** What the pages say about events, attributes and metrics; tests compare the names with the source. */

import type { AuthEvent } from '../../src/telemetry/events.ts'

/** The span that an event is on, and its attributes. */
export const EVENTS: Readonly<Record<AuthEvent['name'], { readonly span: string; readonly attributes: string }>> = {
  'auth.token.verified': {
    span: 'server',
    attributes:
      '`auth.token.issuer`, `auth.token.fingerprint`, `auth.token.expires_in`, `auth.token.actors`, `auth.token.verification_duration`',
  },
  'auth.token.rejected': {
    span: 'server',
    attributes:
      '`error.type`, `auth.token.verification_duration`; `auth.token.issuer` and `auth.token.fingerprint` if the token names an accepted issuer; `auth.ingress.mode` if the request was let in nevertheless',
  },
  'auth.token.ignored': { span: 'server', attributes: '`error.type`' },
  'auth.token.forwarded': {
    span: 'client',
    attributes:
      '`auth.token.issuer`, `auth.token.fingerprint`, `auth.token.expires_in`, `auth.token.actors`, `auth.token.subject_fingerprint`, `auth.decision.rule`, destination',
  },
  'auth.token.sealed': {
    span: 'producer',
    attributes:
      '`auth.token.issuer`, `auth.token.fingerprint`, `auth.token.expires_in`, `auth.token.actors`, `auth.token.subject_fingerprint`, `auth.decision.rule`, destination',
  },
  'auth.token.opened': { span: 'consumer', attributes: 'source: as destination' },
  'auth.message.decided': {
    span: 'consumer',
    attributes:
      '`auth.message.verdict`, `error.type` if it is not handled, `auth.token.subject_fingerprint` of a token that had expired, source',
  },
  'auth.token.exchanged': {
    span: '`token exchange`',
    attributes:
      '`auth.token.issuer`, `auth.token.fingerprint`, `auth.token.expires_in`, `auth.token.actors`, `auth.token.subject_fingerprint`',
  },
  'auth.token.renewed': { span: '`token exchange`', attributes: 'the same' },
  'auth.token.revoked': {
    span: 'active',
    attributes: '`auth.token.issuer`, `auth.revocation.kind`, `auth.revocation.outcome`',
  },
  'auth.key_set.stale': { span: 'active', attributes: '`auth.token.issuer`, `auth.key_set.stale_age`' },
  'resilience.circuit.changed': {
    span: 'active',
    attributes: '`resilience.circuit.state`, `server.address`, `server.port`',
  },
  'auth.token.withheld': {
    span: 'client',
    attributes:
      '`auth.decision.reason`, `auth.decision.rule` if one matched, destination if it is known, `auth.token.issuer` and `auth.token.fingerprint` of a verified token',
  },
}

/** The type of an attribute, and what it means. */
export const ATTRIBUTES: Readonly<Record<string, readonly [type: string, meaning: string]>> = {
  'auth.token.issuer': [
    'string',
    'The configured issuer, never an unverified one; of a refused token, the configured issuer that it names.',
  ],
  'auth.token.fingerprint': [
    'string',
    '16 hexadecimal digits of an HMAC-SHA-256 over the signing input; identifies the token.',
  ],
  'auth.token.expires_in': ['int', 'Seconds until `exp`, not below 0; absent if the token has no `exp`.'],
  'auth.token.subject_fingerprint': [
    'string',
    "The fingerprint of the caller's own token, if it was exchanged for another one.",
  ],
  'auth.token.actors': [
    'string[]',
    'The actors of the subject, the current one first (`act`, RFC 8693 §4.1): 16 hexadecimal digits of an HMAC-SHA-256 over each `sub`, or the names if `telemetry.actors` is `plain`; absent if there is no actor.',
  ],
  'auth.token.verification_duration': [
    'double',
    'Seconds that the verification took, with the time to fetch keys; absent if the token was remembered.',
  ],
  'auth.revocation.kind': ['string', 'What was revoked: `token`, `session` or `subject`.'],
  'auth.revocation.outcome': ['string', '`success`, or `failure` if only this process knows of the revocation yet.'],
  'auth.key_set.stale_age': ['int', 'Age of the keys, in seconds.'],
  'auth.key_set.refresh.outcome': ['string', '`success` or `failure`; on metrics only.'],
  'auth.ingress.mode': ['string', '`report`: the request was let in without a caller, although its token was refused.'],
  'auth.decision.rule': ['string', '`to` of the rule that matched, as configured.'],
  'auth.decision.destination': [
    'string',
    'The entry that `destinations` has for the destination, or would need: `grpc://ledger:50051`. Absent if no entry can name it.',
  ],
  'auth.decision.reason': ['string', 'Why the token was withheld, one of the [reasons](withheld.md).'],
  'auth.message.verdict': [
    'string',
    'How a message was handled: `caller`, `exchanged`, `workload`, `no-caller`; or why it was not: `rejected`, `undecided`.',
  ],
  'auth.decision.verdict': ['string', '`forward`, `exchange` or `withhold`; on metrics only.'],
  'auth.verification.outcome': [
    'string',
    '`verified`, `rejected` or `undecided`; on metrics, and on the span of a refused request.',
  ],
  'auth.verification.cached': ['boolean', 'Whether the verification cache had the token; on metrics only.'],
  'auth.sealing.operation': ['string', '`seal` or `open`; on metrics only.'],
  'auth.sealing.outcome': ['string', '`success` or `failure`; on metrics only.'],
  'auth.exchange.kind': ['string', '`renewal` if the token replaces another one, else `exchange`; on metrics only.'],
  'auth.exchange.outcome': ['string', '`success` or `failure`; on metrics only.'],
  'auth.exchange.cache.outcome': [
    'string',
    '`hit`, `miss`, `unusable` (the kept value cannot be opened, or its token is no longer good) or `unavailable`; on metrics only.',
  ],
  'resilience.circuit.state': ['string', '`open`, `half_open` or `closed`.'],
  'error.type': [
    'string',
    'The code of the error that refused the request, or ended the exchange; on `auth.key_set.refreshes`, why the keys could not be fetched.',
  ],
  'enduser.pseudo.id': [
    'string',
    'A keyed hash of issuer and subject, on the span of an admitted request or message; only with `telemetry.pseudonymKey`.',
  ],
  'http.request.header.authorization': [
    'string[]',
    '`[redacted]`, if header capture had copied the token there; the same for the field that `ingress.header` names.',
  ],
  'http.response.status_code': [
    'int',
    'The status of the answer to a refused request; in the log on standard error only.',
  ],
  'server.address': ['string', "Host of the hop, or of a client's `baseUrl`."],
  'server.port': ['int', 'Its port.'],
  'messaging.system': ['string', 'The messaging system of the destination or source.'],
  'messaging.destination.name': ['string', 'The queue, topic or subject of the destination or source.'],
}

/** What a metric counts or measures. Its kind and unit are in the source. */
export const METRICS: Readonly<Record<string, string>> = {
  'auth.decisions':
    "Decisions about the caller's token at outgoing requests, by `auth.decision.verdict`, `auth.decision.reason` and `auth.decision.rule`.",
  'auth.verifications':
    'Verifications of tokens, by `auth.verification.outcome`, `error.type` and `auth.verification.cached`.',
  'auth.ungated_requests':
    'Requests that a server accepted while the relay had no gate and no adapter was in use. Alert on any.',
  'auth.callerless_requests':
    "Requests that `ingress.mode: 'optional'` or `'report'` has let in without a caller and `require` would refuse, by `error.type`.",
  'auth.verification.duration':
    'Duration of verifications that no cache answered, including the time to fetch keys, by `auth.verification.outcome` and `error.type`.',
  'auth.token.remaining_lifetime': 'Remaining lifetime of tokens at the moment they are sent, by `auth.decision.rule`.',
  'auth.downstream.rejections': '401 answers of HTTP destinations that got a token, by `auth.decision.rule`.',
  'auth.sealing.operations':
    'Tokens that were sealed into messages or opened from them, by `auth.sealing.operation`, `auth.sealing.outcome` and `error.type`.',
  'auth.exchanges':
    "Requests to an issuer for a token (exchanges, renewals and the service's own tokens), by `auth.exchange.kind`, `auth.exchange.outcome` and `error.type`.",
  'auth.exchange.duration': 'Time until the issuer answered, retries included, by the same attributes.',
  'auth.exchange.cache':
    'Uses of the shared cache of exchanged tokens, by `auth.exchange.cache.outcome` and `error.type`.',
  'auth.messages': 'Received messages, by `auth.message.verdict`, `error.type` and `messaging.system`.',
  'auth.audit.failures': 'Audit records that may not have reached disk. Alert on any increase.',
  'auth.audit.backlog': 'Audit records that the disk has not acknowledged yet.',
  'auth.revocations':
    'Tokens, sessions and subjects that this process has revoked, by `auth.revocation.kind` and `auth.revocation.outcome`.',
  'auth.revocation.lag':
    'Time from when Redis stored a revocation of another process until this process learned of it.',
  'auth.revocation.age': "Age of this process's copy of the Redis revocation list.",
  'auth.baggage.dropped': 'Baggage entries, incoming and outgoing, that were dropped because they held a JWT.',
  'auth.key_set.refreshes':
    'Fetches of the keys, by `auth.key_set.refresh.outcome` and `error.type`, whose words [Your first 401](../start/first-401.md#keys-that-are-not-there) lists.',
  'auth.key_set.stale_uses':
    'Verifications with keys older than `keySet.maxAgeMillis`, because the issuer could not be reached.',
  'auth.key_set.age': 'Age of the keys in use.',
  'resilience.retries': 'Repeated attempts of service clients.',
  'resilience.circuit.changes': 'State changes of circuit breakers, by `resilience.circuit.state`.',
  'resilience.bulkhead.running': 'Attempts of clients in progress.',
  'resilience.bulkhead.queued': 'Attempts of clients that wait for others to end.',
}
