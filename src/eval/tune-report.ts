/** What was tuned, as text: the table of what was tried, and the settings as a gateway's config takes them. */
import type { ModelMeaning } from '../engine/model.ts';
import type { Settings, Trial, Tuning } from './tune.ts';
import type { TuneRows } from './tune-rows.ts';

/** Lines of text for people. */
export function describeTuning(tuning: Tuning, rows: TuneRows, retention: number): string[] {
  return [
    `${rows.rows} rows of training and validation, dense ${Math.round(tuning.denseMacsPerTick)} MACs/tick; ` +
      `asked: ${retention} of the dense quality, at the lower end of a 95 % interval`,
    ...(rows.injected ? ['Rows without anomalies got faults, of all kinds in turn.'] : []),
    '',
    ...table(tuning),
    '',
    conclusion(tuning, retention),
  ];
}

/** The first dozen, which are the ladder, and of the rest those that were better than all before. */
function notable({ trials }: Tuning): readonly Trial[] {
  let cheapest = Number.POSITIVE_INFINITY;
  return trials.filter((trial, index) => {
    const better = trial.kept && trial.macsPerTick < cheapest;
    if (better) cheapest = trial.macsPerTick;
    return better || index < 12 || trial.change.startsWith('policy');
  });
}

function table(tuning: Tuning): string[] {
  const header = ['tried', 'skipped', 'MACs/tick', 'kept', 'at least', ''];
  const cells = notable(tuning).map((trial) => [
    trial.change,
    `${(100 * trial.skipRate).toFixed(1)} %`,
    String(Math.round(trial.macsPerTick)),
    trial.retention.toFixed(4),
    trial.retentionLow.toFixed(4),
    trial === tuning.best ? 'best' : trial.kept ? 'yes' : '',
  ]);
  const rows = [header, ...cells];
  const widths = header.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row
      .map((text, at) => (at === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[at]!)))
      .join('  ')
      .trimEnd(),
  );
}

function conclusion({ trials, best, denseMacsPerTick }: Tuning, retention: number): string {
  if (best === null) {
    const [nearest] = [...trials].sort((a, b) => b.retentionLow - a.retentionLow);
    return `None of ${trials.length} settings keeps ${retention}; nearest: ${nearest!.change}, at least ${nearest!.retentionLow.toFixed(4)}.`;
  }
  const reduction = (denseMacsPerTick / best.macsPerTick).toFixed(2);
  return (
    `Best of ${trials.length}: skips ${(100 * best.skipRate).toFixed(1)} % of ticks, compute / ${reduction}. ` +
    'The rows that chose it flatter it: eval tells what it keeps on others.'
  );
}

/** The sections of a gateway's config. */
export function yamlOf({ spikes, policy }: Settings, { channels }: ModelMeaning): string {
  const lines = channels.map(({ name, unit }, index) => {
    const [delta, heartbeat, refractory] = [spikes.delta, spikes.heartbeat, spikes.refractory].map(
      (list) => list[index]!,
    );
    const key = /^[A-Za-z_][\w-]*$/.test(name) ? name : JSON.stringify(name);
    const first =
      spikes.firstHeartbeat === undefined ? '' : ` firstHeartbeat: ${spikes.firstHeartbeat[index]},`;
    const settings = `{ delta: ${delta}, heartbeat: ${heartbeat},${first} refractory: ${refractory} }`;
    return `  ${key}: ${settings}${unit === '' ? '' : ` # ${unit}`}`;
  });
  return `${[`policy: ${policy}`, 'spikes:', ...lines].join('\n')}\n`;
}
