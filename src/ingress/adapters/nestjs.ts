/** The adapter for NestJS: a module, and the guard, interceptor and decorators of which it makes use. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CallHandler, CanActivate, DynamicModule, ExecutionContext, NestInterceptor } from '@nestjs/common'
import {
  applyDecorators,
  BadGatewayException,
  BadRequestException,
  createParamDecorator,
  ForbiddenException,
  Injectable,
  Module,
  ServiceUnavailableException,
  SetMetadata,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common'
import { APP_GUARD, APP_INTERCEPTOR, Reflector } from '@nestjs/core'
import { getActiveCredential } from '../../context/credential-context.ts'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import type { Admission, AdmissionOptions, Admitted, Refused } from '../admitter.ts'
import { incomingOf } from '../http/incoming.ts'
import type { Requirement } from './adapter.ts'
import { admit, admitActive, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

const PUBLIC = 'otel-token-relay public'
const SCOPES = 'otel-token-relay scopes'
const ROLES = 'otel-token-relay roles'
const reflector = new Reflector()

/** What guards have decided, by the request of Node: for the interceptor and for parameters. */
const admitted = new WeakMap<object, Admitted>()

/**
 * Lets a request pass that has a valid token. Others end with an exception of Nest, which is answered 400, 401, 403 or
 * 503 as RFC 6750 says unless a filter of the application decides otherwise; no handler runs.
 *
 * A guard decides and cannot do more: {@link TokenRelayInterceptor} makes handlers run as the caller if the gate has
 * not done so. {@link TokenRelayModule} and {@link Authenticate} bring both. What is no HTTP request (GraphQL,
 * WebSockets, microservices) is decided by the active context, which the gate or an adapter must have set. If no
 * relay is active Nest gets an error, and no request passes.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export class TokenRelayGuard implements CanActivate {
  readonly #requirement: Requirement

  constructor(options?: AdmissionOptions) {
    this.#requirement = requirementOf(options)
  }

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    if (isPublic(context)) return true
    const scopes = requiredBy(context, SCOPES)
    const roles = requiredBy(context, ROLES)
    const requirement: Requirement =
      scopes.length > 0 || roles.length > 0 ? { mode: 'require', scopes, roles } : this.#requirement
    const http = httpOf(context)
    const admission =
      http === undefined
        ? admitActive(requirement)
        : admit(incomingOf('request', [http.request, http.response]), requirement)
    return admission instanceof Promise
      ? admission.then((decided) => admitOrThrow(decided, http))
      : admitOrThrow(admission, http)
  }
}
Injectable()(TokenRelayGuard)

/** Runs handlers, and the pipes and interceptors between, as the caller that {@link TokenRelayGuard} has admitted. */
export class TokenRelayInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): ReturnType<CallHandler['handle']> {
    const admission = admissionOf(context)
    // Nest goes on in the context in which `handle` is called.
    return admission === undefined ? next.handle() : admission.run(() => next.handle())
  }
}
Injectable()(TokenRelayInterceptor)

class Root {}
Module({})(Root)

/** Protects all controllers of an application: `imports: [TokenRelayModule.forRoot()]`. */
export const TokenRelayModule = {
  /**
   * The module with {@link TokenRelayGuard} and {@link TokenRelayInterceptor} for the whole application.
   *
   * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
   */
  forRoot(options?: AdmissionOptions): DynamicModule {
    return {
      module: Root,
      providers: [
        { provide: APP_GUARD, useValue: new TokenRelayGuard(options) },
        { provide: APP_INTERCEPTOR, useValue: new TokenRelayInterceptor() },
      ],
    }
  },
}

/** Guard and interceptor for one controller or handler, in an application that is not protected as a whole. */
export function Authenticate(options?: AdmissionOptions): ClassDecorator & MethodDecorator {
  return applyDecorators(UseGuards(new TokenRelayGuard(options)), UseInterceptors(TokenRelayInterceptor))
}

/**
 * Lets a caller pass whose token has all `scopes`, and one of those in `{ anyOf: […] }`; others are answered 403 with
 * the scopes. Those of the controller and of the handler add up. Protects by itself what is not protected yet.
 *
 * @throws TypeError if there is no scope, or something that is none.
 */
export function RequireScope(...scopes: readonly NameOrAnyOf[]): ClassDecorator & MethodDecorator {
  return Require(SCOPES, requirementOfScopes(scopes).scopes)
}

/**
 * Lets a caller pass whose token has all `roles`, and one of those in `{ anyOf: […] }`; others are answered 403,
 * without the roles. Those of the controller and of the handler add up. Roles are in the claims that `roleClaims` of
 * the issuer names. Protects by itself what is not protected yet.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function RequireRole(...roles: readonly NameOrAnyOf[]): ClassDecorator & MethodDecorator {
  return Require(ROLES, requirementOfRoles(roles).roles)
}

type Privileges = typeof SCOPES | typeof ROLES

function Require(privileges: Privileges, added: readonly NameOrAnyOf[]): ClassDecorator & MethodDecorator {
  const add = (target: object, key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    const known = requiredOf((descriptor?.value as object | undefined) ?? target, privileges)
    SetMetadata(privileges, [...known, ...added])(target, key as string, descriptor as PropertyDescriptor)
  }
  return applyDecorators(add as ClassDecorator & MethodDecorator, Authenticate())
}

/**
 * Opens a controller or handler to all, in an application that is protected as a whole. It then has no caller, unless
 * the gate has admitted one. A handler's own {@link RequireScope} or {@link RequireRole} goes before, and so does that
 * of the controller if it is the controller that is public.
 */
export function Public(): ClassDecorator & MethodDecorator {
  return SetMetadata(PUBLIC, true)
}

/**
 * The caller as a parameter of a handler: `@CurrentCredential() caller: VerifiedCredential`; `undefined` without one.
 */
export const CurrentCredential: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): VerifiedCredential | undefined =>
    admissionOf(context)?.credential ?? getActiveCredential(),
)

interface Http {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Sets a field of the answer, in Express and in Fastify. */
  setHeader(name: string, value: string): unknown
}

function httpOf(context: ExecutionContext): Http | undefined {
  if (context.getType() !== 'http') return undefined
  const host = context.switchToHttp()
  const request = host.getRequest<IncomingMessage & { raw?: IncomingMessage }>()
  const response = host.getResponse<ServerResponse & { raw?: ServerResponse; header: Http['setHeader'] }>()
  return {
    request: request.raw ?? request,
    response: response.raw ?? response,
    setHeader: (name, value) => response.header(name, value),
  }
}

function admissionOf(context: ExecutionContext): Admitted | undefined {
  const http = httpOf(context)
  return http === undefined ? undefined : admitted.get(http.request)
}

function admitOrThrow(admission: Admission, http: Http | undefined): boolean {
  if (!admission.admitted) throw exceptionFor(admission, http)
  if (http !== undefined) admitted.set(http.request, admission)
  return true
}

const EXCEPTIONS = {
  400: BadRequestException,
  401: UnauthorizedException,
  403: ForbiddenException,
  502: BadGatewayException,
  503: ServiceUnavailableException,
}

/**
 * Nest answers with status and body of an exception, and says what kind of body that is; other fields are set before.
 */
function exceptionFor({ answer, error }: Refused, http: Http | undefined): Error {
  for (const [name, value] of Object.entries(answer.headers)) {
    if (!name.startsWith('content-')) http?.setHeader(name, value)
  }
  return new EXCEPTIONS[error.status](JSON.parse(answer.body) as object, { cause: error })
}

function requiredOf(target: object, privileges: Privileges): readonly NameOrAnyOf[] {
  return reflector.get<readonly NameOrAnyOf[] | undefined>(privileges, target as () => void) ?? []
}

function requiredBy(context: ExecutionContext, privileges: Privileges): readonly NameOrAnyOf[] {
  return [...requiredOf(context.getHandler(), privileges), ...requiredOf(context.getClass(), privileges)]
}

function isRestricted(target: object): boolean {
  return requiredOf(target, SCOPES).length > 0 || requiredOf(target, ROLES).length > 0
}

function isPublic(context: ExecutionContext): boolean {
  const [handler, controller] = [context.getHandler(), context.getClass()]
  if (isRestricted(handler)) return false
  if (reflector.get<boolean | undefined>(PUBLIC, handler) === true) return true
  return reflector.get<boolean | undefined>(PUBLIC, controller) === true && !isRestricted(controller)
}
