/** `dormouse doctor`: whether a gateway would work here, and if not, what to do. */
import { runProgram } from '../energy/programs.ts';
import { systemFiles } from '../energy/system-files.ts';
import { findTarget, type Target, targets } from '../energy/target.ts';
import { policyNames } from '../gate/policy.ts';
import { formatProblem } from '../gateway/config/checker.ts';
import { GatewayConfigError, type LoadedConfig, loadGatewayConfig } from '../gateway/config/load-config.ts';
import { isClockSynchronised } from './clock-sync.ts';
import type { Command } from './command.ts';
import { checkBroker } from './doctor/broker.ts';
import { checkDisk, checkSecrets } from './doctor/files.ts';
import { type Finding, failure, type Level, ok } from './doctor/finding.ts';
import {
  checkClock,
  checkKernels,
  checkMemory,
  checkMeters,
  checkNode,
  checkTarget,
} from './doctor/machine.ts';
import { numberOption, parseOptions, refuseSurplus } from './options.ts';

const usage = `Usage: dormouse doctor [CONFIG] [options]

Looks whether a gateway with CONFIG would work on this machine, and says what to do where not: Node, clock, kernel,
meters, memory; config and model, secrets, disk; the broker's reach, TLS, login, and the rights to subscribe and to
publish (one message on <topicPrefix>/doctor). Run it as the user that the gateway runs as; a gateway that runs
already is not disturbed. Without CONFIG it looks at the machine alone. Exit code 1 if anything fails.

  --offline     connect to no broker
  --seconds N   how long to listen for messages (default 2)
  --json        print {"ok", "findings": [{"check", "level", "text", "advice"}]}
`;

export const command: Command = {
  name: 'doctor',
  summary: 'look whether a gateway would work here: broker, clock, meters, kernel, disk, permissions',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        json: { type: 'boolean', default: false },
        offline: { type: 'boolean', default: false },
        seconds: { type: 'string' },
      },
      allowPositionals: true,
    });
    refuseSurplus(positionals, 'a config file');
    const listenMs = 1000 * numberOption('seconds', values.seconds, 2, 0.1, 3600);
    const findings = await examine(positionals[0], values.offline ? undefined : listenMs);
    const failed = findings.some(({ level }) => level === 'failure');
    process.stdout.write(values.json ? `${JSON.stringify({ ok: !failed, findings })}\n` : textOf(findings));
    return failed ? 1 : 0;
  },
};

/** `listenMs` undefined: no broker is asked. */
async function examine(path: string | undefined, listenMs: number | undefined): Promise<Finding[]> {
  const { loaded, findings } = path === undefined ? { loaded: undefined, findings: [] } : load(path);
  const target = loaded?.config.target === undefined ? undefined : findTarget(loaded.config.target);
  return [
    ...(await machineFindings(loaded, target)),
    ...findings,
    ...(loaded === undefined ? [] : await gatewayFindings(loaded, target, listenMs)),
  ];
}

async function machineFindings(
  loaded: LoadedConfig | undefined,
  target: Target | undefined,
): Promise<Finding[]> {
  return [
    checkNode(),
    checkClock(await isClockSynchronised()),
    checkKernels(target),
    await checkMeters(loaded?.config.ledger, { files: systemFiles(), run: runProgram }),
  ];
}

function load(path: string): { loaded: LoadedConfig | undefined; findings: Finding[] } {
  try {
    const loaded = loadGatewayConfig(path, { policies: policyNames, targets: Object.keys(targets) });
    return { loaded, findings: [ok('config', `${path} is valid`)] };
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    const findings = error.problems.map((problem) =>
      failure('config', formatProblem(problem), 'docs/gateway.md explains every setting'),
    );
    return { loaded: undefined, findings };
  }
}

async function gatewayFindings(
  loaded: LoadedConfig,
  target: Target | undefined,
  listenMs: number | undefined,
): Promise<Finding[]> {
  const { config } = loaded;
  const secrets = checkSecrets(config);
  const filters = config.routes.map(({ filter }) => filter);
  const commands = config.commands === undefined ? [] : [`${config.topicPrefix}/command/+`];
  return [
    ...checkTarget(target),
    checkMemory(loaded, target),
    ...secrets,
    ...checkDisk(config),
    ...(listenMs === undefined ? [] : await checkBroker(config, filters, { commands, listenMs })),
  ];
}

const marks: Readonly<Record<Level, string>> = { ok: 'ok     ', warning: 'warning', failure: 'FAILURE' };

function textOf(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, level, text, advice }) => [
    `${marks[level]}  ${check.padEnd(width)}  ${text}`,
    ...(advice === undefined ? [] : [`${' '.repeat(marks.ok.length + width + 4)}-> ${advice}`]),
  ]);
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  return `${lines.join('\n')}\n${count('failure')} failures, ${count('warning')} warnings\n`;
}
