/** Messages of SQS and SNS have ten attributes at most: an eleventh is an error, and costs the whole message. */

import type { Target } from '../destination/pattern.ts'

const MAX_ATTRIBUTES = 10

/** Whether `carrier` has no room for one more attribute on its way to `target`. */
export function isFull(carrier: object, target: Target): boolean {
  const counts = target.kind === 'messaging' && (target.system === 'aws_sqs' || target.system === 'aws_sns')
  return counts && Object.keys(carrier).length >= MAX_ATTRIBUTES
}
