/** The command line: which commands there are, their options and their help. */

import process from 'node:process'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { VERSION } from '../version.ts'
import type { DoctorOptions } from './doctor/doctor.ts'
import type { ExplainOptions } from './explain.ts'
import type { InitOptions } from './init/options.ts'
import { EXIT, UsageError } from './report.ts'

const EXIT_CODES = `
Exit codes:
  0  fine
  1  there are findings
  2  the command line, or what it names, is wrong`

/** Runs the command that `args` describe, and resolves with the exit code. Each command is loaded when it is run. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const { own, program } = splitProgram(args)
  let code: number = EXIT.fine
  const root = createRoot()
  const finish = (run: Promise<number>): Promise<void> =>
    run.then((result) => {
      code = result
    })
  addAudit(root, finish)
  addDoctor(root, finish, program)
  addExplain(root, finish)
  addInit(root, finish)
  try {
    await root.parseAsync(own, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
      return error.exitCode === 0 ? EXIT.fine : EXIT.usage
    }
    process.stderr.write(`otel-token-relay: ${problemOf(error)}\n`)
    return EXIT.usage
  }
}

/** What stands behind `--` of `doctor` is a program with its own options. */
function splitProgram(args: readonly string[]) {
  const end = args[0] === 'doctor' ? args.indexOf('--') : -1
  return end === -1 ? { own: args, program: undefined } : { own: args.slice(0, end), program: args.slice(end + 1) }
}

type Finish = (run: Promise<number>) => Promise<void>

function createRoot(): Command {
  return new Command('otel-token-relay')
    .description('Commands for operators of otel-token-relay.')
    .version(VERSION)
    .helpCommand(false)
    .showSuggestionAfterError(false)
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ helpWidth: 80 })
    .addHelpText('after', EXIT_CODES)
}

/** What was typed may be a token that was meant for standard input: only names of options are repeated. */
function problemOf(error: unknown): string {
  if (error instanceof UsageError) return error.message
  if (!(error instanceof CommanderError)) return 'the command failed'
  const known = PROBLEMS[error.code]
  if (known !== undefined) return `${known}; see --help`
  return error.message.replace(/^error: /, '').replace(/ argument '.*' is invalid/s, ' is invalid')
}

/** For the errors of `commander` that repeat what was typed. */
const PROBLEMS: Readonly<Record<string, string>> = {
  'commander.unknownCommand': 'there is no such command',
  'commander.unknownOption': 'there is no such option',
  'commander.excessArguments': 'there are too many arguments',
}

const configOption = (): Option =>
  new Option('--config <file>', 'configuration file; default: the variables that register reads')
const jsonOption = (): Option => new Option('--json', 'print JSON')

function addAudit(root: Command, finish: Finish): void {
  const audit = root.command('audit').description('Audit trails.')
  audit
    .command('verify')
    .description(
      'Checks the files of audit trails and prints the id of each trail. Give the files of a trail from oldest to newest.',
    )
    .argument('<file...>', 'files of one trail or several')
    .option('--key-file <key>', 'the file with the key of the trail')
    .option('--trail <id>', 'the id that the trail must have')
    .addHelpText('after', EXIT_CODES)
    .action((files: readonly string[], options: { readonly keyFile?: string; readonly trail?: string }) =>
      finish(verify(files, options)),
    )
}

async function verify(
  files: readonly string[],
  { keyFile, trail }: { readonly keyFile?: string; readonly trail?: string },
): Promise<number> {
  const { verifyAudit } = await import('./audit-verify.ts')
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  return verifyAudit({ files, keyFile, trail }, print).catch((error: unknown) => {
    throw new UsageError((error as Error).message)
  })
}

function addDoctor(root: Command, finish: Finish, program: readonly string[] | undefined): void {
  const doctor = root
    .command('doctor')
    .usage('[options] [-- program arguments...]')
    .description(
      'Checks the configuration, versions, issuers, other agents and, with a program, its servers and clients. ' +
        'The program runs until its servers have been asked, then it is ended.',
    )
    .addOption(configOption())
    .option('--wait <seconds>', 'how long to wait for the program to open a server, 1 to 600', seconds, 15)
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((options: DoctorOptions) =>
      finish(import('./doctor/doctor.ts').then(({ doctor }) => doctor({ ...options, program }))),
    )
  doctor
    .command('token')
    .description('Reads a token from standard input, and walks through every rule. The token is not printed.')
    .addOption(configOption())
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((options: ExplainOptions) =>
      finish(import('./doctor/token.ts').then(({ checkToken }) => checkToken(options))),
    )
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value >= 1 && value <= 600)) throw new InvalidArgumentError('Expected 1 to 600 seconds.')
  return value
}

function addExplain(root: Command, finish: Finish): void {
  root
    .command('explain')
    .description("Says which rule of destinations decides about a caller's token, and why.")
    .argument('<destination>', 'a URL, grpc://host:port, or system:name such as kafka:orders')
    .addOption(configOption())
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((destination: string, options: ExplainOptions) =>
      finish(import('./explain.ts').then(({ explain }) => explain(destination, options))),
    )
}

function addInit(root: Command, finish: Finish): void {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, ...value.split(',')]
  root
    .command('init')
    .description("Writes a commented configuration file, with what the issuer's metadata says.")
    .option('--issuer <url>', 'the issuer, exactly as in the iss of its tokens')
    .option('--audience <names>', 'the audience of this service; several with commas', list)
    .option('--destination <names>', 'a destination of tokens; several with commas', list)
    .addOption(
      new Option('--mode <mode>', 'ingress.mode').choices(['require', 'optional', 'report']).default('require'),
    )
    .option('--file <file>', 'the file to write: .mjs or .cjs', 'token-relay.config.mjs')
    .option('--force', 'overwrite the file')
    .option('--yes', 'ask nothing')
    .addOption(jsonOption())
    .addHelpText('after', EXIT_CODES)
    .action((options: InitOptions) => finish(import('./init/init.ts').then(({ init }) => init(options))))
}
