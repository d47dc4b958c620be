/** Everything that runs during the demo, started in order and ended together. */

import type { App } from './app.ts'
import { startApp } from './app.ts'
import { foreignEndpoint, foreignSettings } from './foreign-endpoint.ts'
import type { IdentityProvider } from './identity-provider.ts'
import { APP, BILLING, EXCHANGER, OUR_API, REDIRECT_URI, SCOPE, startIdentityProvider } from './identity-provider.ts'
import { keepLatest } from './keep-latest.ts'
import { logIn } from './login.ts'
import type { OtlpReceiver } from './otlp-receiver.ts'
import { startOtlpReceiver } from './otlp-receiver.ts'
import type { Queue } from './queue.ts'
import { QUEUE, startQueue } from './queue.ts'
import { createSecretFile } from './secret-file.ts'
import type { Service } from './services.ts'
import { startService } from './services.ts'
import type { ThirdParty } from './third-party.ts'
import { startThirdParty } from './third-party.ts'
import type { HostNames } from './trace-layout.ts'

export interface Stage {
  readonly app: App
  readonly issuer: string
  readonly userService: Service
  readonly profileService: Service
  readonly billingService: Service
  readonly orderWorker: Service
  readonly queue: Queue
  readonly thirdParty: ThirdParty
  /** What is behind a `host:port`. */
  readonly names: HostNames
  /** Where the traces go, or `undefined` where `OTEL_EXPORTER_OTLP_ENDPOINT` sends them elsewhere. */
  readonly receiver: OtlpReceiver | undefined
  /** The latest 100 tokens of the identity provider: secrets, kept to look for them where they must not be. */
  readonly issuedTokens: readonly string[]
  /** Logs alice in. By default the token is for our services, and valid for some minutes. */
  issueToken(options?: { readonly clientId?: string; readonly resource?: string }): Promise<string>
}

/** Starts everything; what has been started is ended with `stack`. */
export async function setStage(stack: AsyncDisposableStack): Promise<Stage> {
  const receiver = foreignEndpoint() === undefined ? stack.use(await startOtlpReceiver()) : undefined
  const issuedTokens: string[] = []
  const keep = (token: string): void => keepLatest(issuedTokens, [token], MAX_TOKENS)
  const provider = stack.use(await startIdentityProvider({ onExchanged: keep }))
  const thirdParty = stack.use(await startThirdParty())
  const secret = stack.use(await createSecretFile())
  const traces = telemetry(receiver)

  const billingService = stack.use(
    await startService({
      name: 'billing-service',
      file: 'billing-service/server.mjs',
      env: { ...traces, ...verification(provider, BILLING), TOKEN_RELAY_TELEMETRY_ACTORS: 'plain' },
    }),
  )
  const profileService = stack.use(
    await startService({
      name: 'profile-service',
      file: 'profile-service/server.mjs',
      env: {
        ...traces,
        PICTURES_URL: thirdParty.url,
        BILLING_URL: billingService.url,
        // What to exchange, and for whom, is more than variables can say.
        TOKEN_RELAY_CONFIG_FILE: 'profile-service/relay.cjs',
        ISSUER: provider.issuer,
        AUDIENCE: OUR_API,
        BILLING_AUDIENCE: BILLING,
        CLIENT_ID: EXCHANGER.clientId,
        CLIENT_SECRET: EXCHANGER.clientSecret,
      },
    }),
  )
  const queue = stack.use(await startQueue())
  const sealing = { TOKEN_RELAY_SEALING_KID: 'orders-1', TOKEN_RELAY_SEALING_SECRET_FILE: secret.path }
  const userService = stack.use(
    await startService({
      name: 'user-service',
      file: 'user-service/server.cjs',
      env: {
        ...traces,
        ...verification(provider, OUR_API),
        PROFILE_SERVICE_URL: profileService.url,
        WEATHER_URL: thirdParty.url,
        ...sqsSettings(queue),
        ...sealing,
        // The only places to which tokens may go. The third party is not in the list, and neither is the broker's API.
        TOKEN_RELAY_DESTINATIONS: `${profileService.url},aws_sqs:${QUEUE}`,
      },
    }),
  )
  const orderWorker = stack.use(
    await startService({
      name: 'order-worker',
      file: 'order-worker/worker.mjs',
      env: {
        ...traces,
        ...verification(provider, OUR_API),
        ...sqsSettings(queue),
        ...sealing,
        PROFILE_SERVICE_URL: profileService.url,
        TOKEN_RELAY_DESTINATIONS: profileService.url,
      },
    }),
  )
  const names = new Map([
    [new URL(profileService.url).host, profileService.name],
    [new URL(userService.url).host, userService.name],
    [new URL(billingService.url).host, billingService.name],
    [new URL(thirdParty.url).host, 'third-party'],
    [new URL(queue.endpoint).host, 'broker'],
  ])
  const { issuer } = provider
  const app = stack.use(startApp(traces))
  const services = { app, userService, profileService, billingService, orderWorker, queue, thirdParty }
  return { issuer, ...services, names, receiver, issuedTokens, issueToken: tokenDesk(provider, keep) }
}

/** The settings of services about tokens. */
function verification({ issuer }: IdentityProvider, audience: string): Record<string, string> {
  return {
    TOKEN_RELAY_ISSUER: issuer,
    TOKEN_RELAY_AUDIENCE: audience,
    // Spares us waiting the default five seconds more until a token counts as expired: there is one clock here.
    TOKEN_RELAY_CLOCK_TOLERANCE_SECONDS: '0',
  }
}

/** What the SDK of AWS needs to know. The keys open nothing. */
function sqsSettings({ endpoint, url }: Queue): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_SQS: endpoint,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'demo',
    AWS_SECRET_ACCESS_KEY: 'demo',
    QUEUE_URL: url,
  }
}

function telemetry(receiver: OtlpReceiver | undefined): Record<string, string | undefined> {
  // Jaeger takes traces only; a collector takes metrics, too: OTEL_METRICS_EXPORTER=otlp sends them.
  const signals = { OTEL_METRICS_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none' }
  if (receiver === undefined) return { ...signals, ...foreignSettings() }
  return {
    ...signals,
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  }
}

const MAX_TOKENS = 100

function tokenDesk({ issuer }: IdentityProvider, keep: (token: string) => void): Stage['issueToken'] {
  return async ({ clientId = APP, resource = OUR_API } = {}) => {
    const token = await logIn({ issuer, clientId, resource, redirectUri: REDIRECT_URI, scope: SCOPE })
    keep(token)
    return token
  }
}
