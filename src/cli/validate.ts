/** `dormouse validate`: everything that is wrong with a config, at once. */
import { targets } from '../energy/target.ts';
import { policyNames } from '../gate/policy.ts';
import { ownTopics } from '../gateway/config/config.ts';
import { GatewayConfigError, type LoadedConfig, loadGatewayConfig } from '../gateway/config/load-config.ts';
import type { Log } from '../gateway/log.ts';
import type { Command } from './command.ts';
import { makeGateway } from './device.ts';
import { parseOptions, requireArguments } from './options.ts';

const usage = `Usage: dormouse validate CONFIG [--json]

Reads a gateway's CONFIG and the model that it names, and lists every problem with its path, its line, what was
expected and what was got. Connects to nothing. Exit code 0: no problems; 1: there are some.

  --json   print {"ok", "problems": [{"path", "line", "expected", "got"}], "hints": []}
`;

export const command: Command = {
  name: 'validate',
  summary: "check a gateway's config and model, connecting to nothing",
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { json: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a config file');
    return validate(path, values.json);
  },
};

function validate(path: string, json: boolean): number {
  try {
    const loaded = loadGatewayConfig(path, { policies: policyNames, targets: Object.keys(targets) });
    const text = json
      ? JSON.stringify({ ok: true, problems: [], hints: loaded.hints })
      : summary(path, loaded);
    process.stdout.write(`${text}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    const text = json ? JSON.stringify({ ok: false, problems: error.problems }) : error.message;
    (json ? process.stdout : process.stderr).write(`${text}\n`);
    return 1;
  }
}

const silentLog: Log = { info: () => {}, warning: () => {}, error: () => {} };

/** What the gateway would do. Throws what the engine throws for a model that it can't hold. */
function summary(path: string, loaded: LoadedConfig): string {
  const { config, model } = loaded;
  const { channels, task } = model.meaning;
  const { engine } = makeGateway(loaded, { log: silentLog });
  const own = ownTopics(config);
  const inputs = config.routes.map(
    ({ filter, channels: carried }) => `  ${filter} -> ${carried.map(({ name }) => name).join(', ')}`,
  );
  return [
    `${path} is valid.`,
    `model: ${task.kind}, ${channels.length} channels, ${engine.memory.buffer.byteLength / 1024} KiB` +
      `${config.target === undefined ? '' : `, fits target ${config.target}`}`,
    ...(config.share === undefined
      ? []
      : [
          `shared: each {device} is served by one of group ${config.share.group}, here ${config.share.member}`,
        ]),
    `ticks: one per ${config.frame.mode === 'grid' ? `${config.frame.intervalMs} ms` : 'message'}`,
    'inputs:',
    ...inputs,
    `outputs: ${own.output} (${config.output.publish}), ${own.status}, ${own.counters}`,
    ...loaded.hints.map((hint) => `hint: ${hint}`),
  ].join('\n');
}
