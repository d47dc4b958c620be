/** Once from end to end: tokens are refused, Prometheus sees it, Alertmanager calls, and the runbook is in the message. */

import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { expect, it, onTestFinished } from 'vitest'
import { readDocument } from '../docs/markdown.ts'
import { freePorts } from '../support/brokers.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { startProgram } from '../support/process.ts'

const HAS_SERVERS =
  ['prometheus', 'prometheus-alertmanager'].every((name) => spawnSync(name, ['--version']).status === 0) ||
  process.env['CI'] !== undefined

interface Alert {
  readonly status: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** Until the test is done. */
function run(command: string, args: readonly string[]): void {
  const child: ChildProcess = spawn(command, args, { stdio: 'ignore' })
  onTestFinished(async () => {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  })
}

/** The files of deploy/prometheus, in a hurry: for servers on this machine. */
function writeConfiguration(ports: { metrics: number; alertmanager: number }, webhook: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const files = ['recording.rules.yaml', 'alerts.rules.yaml', 'prometheus.yaml', 'alertmanager.yaml']
  for (const name of files) {
    const text = readDocument(`deploy/prometheus/${name}`)
      .replaceAll(/\b(scrape_interval|evaluation_interval|group_wait|group_interval): \w+/g, '$1: 1s')
      .replaceAll(/^( +for:) \w+$/gm, '$1 0s')
      .replace('collector:8889', `127.0.0.1:${ports.metrics}`)
      .replace('alertmanager:9093', `127.0.0.1:${ports.alertmanager}`)
      .replace(/http:\/\/alerts\.internal\.example\/\w+/, webhook)
    writeFileSync(join(folder, name), text)
  }
  return folder
}

it.runIf(HAS_SERVERS)(
  'refused tokens alert the person on call, with a link to the runbook',
  async () => {
    const messages: { readonly alerts: readonly Alert[] }[] = []
    const webhook = createServer((request, response) => {
      let text = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      request.on('end', () => {
        messages.push(JSON.parse(text) as { alerts: Alert[] })
        response.end()
      })
    })
    const url = `http://127.0.0.1:${await listen(webhook)}/webhook`
    onTestFinished(() => close(webhook))
    const [metrics = 0, prometheus = 0, alertmanager = 0] = await freePorts(3)
    const folder = writeConfiguration({ metrics, alertmanager }, url)
    run('prometheus-alertmanager', [
      `--config.file=${folder}/alertmanager.yaml`,
      `--storage.path=${folder}/alerts`,
      `--web.listen-address=127.0.0.1:${alertmanager}`,
      '--cluster.listen-address=',
    ])
    run('prometheus', [
      `--config.file=${folder}/prometheus.yaml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${prometheus}`,
    ])

    await using issuer = await startIssuer()
    await using service = startProgram('service.cjs', {
      preload: ['--require', 'otel-token-relay/register'],
      env: {
        TOKEN_RELAY_ISSUER: issuer.issuer,
        TOKEN_RELAY_AUDIENCE: 'user-service',
        TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/metrics',
        OTEL_METRICS_EXPORTER: 'prometheus',
        OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
        OTEL_EXPORTER_PROMETHEUS_PORT: String(metrics),
      },
    })
    const port = await service.report<number>('port')
    const authorization = `Bearer ${await issuer.token({ aud: 'another' })}`
    const alert = await waitFor(async () => {
      const responses = Array.from({ length: 20 }, () =>
        fetch(`http://127.0.0.1:${port}/`, { headers: { authorization } }),
      )
      for (const response of await Promise.all(responses)) await response.text()
      const found = messages
        .flatMap(({ alerts }) => alerts)
        .find(({ labels }) => labels['alertname'] === 'TokenRelayRejectionSpike')
      expect(found).toBeDefined()
      return found
    })
    expect(alert).toMatchObject({ status: 'firing', labels: { job: 'collector', severity: 'warning' } })
    expect(alert?.annotations['runbook_url']).toMatch(/docs\/guides\/runbook\.md#tokenrelayrejectionspike$/)
  },
  120_000,
)
