import type { TokenRelayOptions } from 'otel-token-relay'

export declare const options: TokenRelayOptions
export declare const tokens: { readonly alice: string; readonly bob: string; readonly carol: string }
