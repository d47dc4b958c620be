/** A real Prometheus with the configuration of deploy/, on the loopback interface. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readDocument } from '../docs/markdown.ts'
import { connectable, freePorts } from '../support/brokers.ts'

export interface Prometheus extends AsyncDisposable {
  readonly url: string
  /** The `data` of an answer of its API, as Grafana's data source asks for it. */
  api(path: string, parameters?: Readonly<Record<string, string>>): Promise<unknown>
}

/** It scrapes `metrics`, a `host:port`, in place of the collector that deploy/prometheus names, every second. */
export async function startPrometheus(metrics: string): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'))
  for (const name of ['recording.rules.yaml', 'alerts.rules.yaml', 'prometheus.yaml']) {
    const text = readDocument(`deploy/prometheus/${name}`)
      .replaceAll(/\b(scrape_interval|evaluation_interval): \w+/g, '$1: 1s')
      .replace('collector:8889', metrics)
    writeFileSync(join(folder, name), text)
  }
  const [port = 0] = await freePorts(1)
  const settings = [`--config.file=${folder}/prometheus.yaml`, `--storage.tsdb.path=${folder}/data`]
  const server = spawn('prometheus', [...settings, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' })
  await connectable(port)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    async api(path, parameters = {}) {
      const response = await fetch(`${url}${path}`, { method: 'POST', body: new URLSearchParams(parameters) })
      const { data } = (await response.json()) as { readonly data: unknown }
      return data
    },
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
