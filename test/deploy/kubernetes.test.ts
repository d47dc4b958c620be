/** The Kubernetes manifests: minimal rights, probes, valid options, and network policies that repeat the destinations. */

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { optionsFromEnvironment, VARIABLE_NAMES } from '../../src/config/environment.ts'
import { parseOptions } from '../../src/config/options.ts'
import { ROOT, readDocument } from '../docs/markdown.ts'

interface Selector {
  readonly podSelector?: { readonly matchLabels?: { readonly app?: string } }
}
interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec: {
    readonly template: { readonly spec: Pod }
    readonly podSelector: NonNullable<Selector['podSelector']>
    readonly ingress?: readonly { readonly from: readonly Selector[] }[]
    readonly egress?: readonly { readonly to: readonly Selector[] }[]
  }
}
interface Pod {
  readonly automountServiceAccountToken: boolean
  readonly securityContext: object
  readonly containers: readonly Container[]
}
interface Container {
  readonly image: string
  readonly command: readonly string[]
  readonly securityContext: object
  readonly resources: object
  readonly livenessProbe: object
  readonly readinessProbe: object
  readonly env: readonly { readonly name: string; readonly value?: string }[]
}

const read = (name: string): readonly Manifest[] =>
  parseAllDocuments(readDocument(`deploy/kubernetes/${name}.yaml`)).map((document) => document.toJS() as Manifest)
const manifests = read('services')
const policies = read('network-policies')
const deployments = manifests
  .filter(({ kind }) => kind === 'Deployment')
  .map(({ metadata: { name }, spec }) => ({ name, pod: spec.template.spec }))
const containerOf = ({ containers: [container] }: Pod): Container => container as Container
const variablesOf = (pod: Pod): Readonly<Record<string, string>> =>
  Object.fromEntries(containerOf(pod).env.map(({ name, value = 'a secret' }) => [name, value]))

/** The options that a service is started with. */
function optionsOf(name: string, pod: Pod): ReturnType<typeof parseOptions> {
  const variables = variablesOf(pod)
  const text = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)?.data?.[
    'relay.json'
  ]
  if (text !== undefined) return parseOptions(JSON.parse(text))
  if (variables['TOKEN_RELAY_CONFIG_FILE'] === undefined) return parseOptions(optionsFromEnvironment(variables))
  const before = { ...process.env }
  Object.assign(process.env, variables)
  try {
    const options: unknown = createRequire(import.meta.url)(
      join(ROOT, 'examples', 'demo', 'services', variables['TOKEN_RELAY_CONFIG_FILE']),
    )
    return parseOptions(options)
  } finally {
    process.env = before
  }
}

describe.each(deployments)('$name', ({ name, pod }) => {
  const container = containerOf(pod)

  it('has no rights that it does not need, and a limit of its memory', () => {
    expect(pod).toMatchObject({ automountServiceAccountToken: false, securityContext: { runAsNonRoot: true } })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(container.resources).toMatchObject({ limits: { memory: expect.any(String) } })
    expect(container.image).toMatch(/:\d+\.\d+\.\d+$/)
  })

  it('is alive without an issuer, and ready if the relay is; neither takes a token', () => {
    const { publicPaths, readyPath } = optionsOf(name, pod).ingress
    expect(publicPaths).toEqual(['/health'])
    expect(container.livenessProbe).toMatchObject({ httpGet: { path: '/health', port: 8080 } })
    expect(readyPath).toBe('/ready')
    expect(container.readinessProbe).toMatchObject({ httpGet: { path: readyPath, port: 8080 } })
  })

  it('runs a file that exists', () => {
    expect(existsSync(join(ROOT, 'examples', 'demo', 'services', container.command.at(-1) ?? ''))).toBe(true)
  })

  it('is configured by known variables, none of which holds a secret', () => {
    const names = Object.keys(variablesOf(pod)).filter((each) => each.startsWith('TOKEN_RELAY_'))
    expect(names.filter((each) => !VARIABLE_NAMES.includes(each))).toEqual([])
    expect(container.env.filter((each) => each.name.includes('SECRET') && each.value !== undefined)).toEqual([])
  })

  it('reaches the services that it may send tokens to, and no other service; they let it in', () => {
    const policyOf = (app: string) => policies.find(({ spec }) => spec.podSelector.matchLabels?.app === app)?.spec
    const appsIn = (selectors: readonly Selector[]) =>
      selectors.flatMap(({ podSelector }) => podSelector?.matchLabels?.app ?? [])
    const reached = appsIn(policyOf(name)?.egress?.flatMap(({ to }) => to) ?? [])
    const named = optionsOf(name, pod).rules.map(({ to }) => new URL(to).hostname)
    expect(reached).toEqual(named)
    for (const app of named) {
      expect(appsIn(policyOf(app)?.ingress?.flatMap(({ from }) => from) ?? [])).toContain(name)
      expect(manifests.some(({ kind, metadata }) => kind === 'Service' && metadata.name === app)).toBe(true)
    }
  })
})

it('the policy default-deny shuts every way that no other policy opens', () => {
  const denied = policies.find(({ metadata }) => metadata.name === 'default-deny')
  expect(denied).toMatchObject({ spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } })
  expect(denied?.spec.ingress).toBeUndefined()
  expect(denied?.spec.egress).toBeUndefined()
})

it('the policy shared-egress opens ways out for all pods, and no way in', () => {
  const shared = policies.find(({ metadata }) => metadata.name === 'shared-egress')
  expect(shared).toMatchObject({ spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } })
  expect(shared?.spec.ingress).toBeUndefined()
})
