/**
 * Each technique on and off, on the four workloads and on recordings with a model: compute, time and quality against
 * the same model at tier 0 on every tick with its KV cache. Thresholds are the model's own throughout.
 */
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import type { Model } from '../engine/model.ts';
import { addUp, retentionInterval } from '../eval/bootstrap.ts';
import { loadProtocol, type Protocol } from '../eval/protocols.ts';
import { alarmRuleOf, makeRecorder } from '../eval/recorders.ts';
import { runTests, warmUpRowsOf } from '../eval/runs.ts';
import type { Scored } from '../eval/scores.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { workloadNames, workloads } from '../workloads/physics.ts';
import { type Folders, modelIn, recordingsWithModels } from './folders.ts';
import { type BenchResult, type Details, type Effort, result, rounded, summarise } from './harness.ts';
import { basePolicy, measuredElsewhere, type Variant, variants } from './techniques.ts';
import { timeInTurns } from './turns.ts';
import { tunedSpikes, workloadModel, workloadProtocol } from './workload-subject.ts';

const ROWS = 15_000;
const QUICK_ROWS = 1_500;
const ROUNDS = 5;
const QUICK_ROUNDS = 3;

export interface AblationSubject {
  readonly name: string;
  readonly engine: Engine;
  readonly protocol: Protocol;
  /** The engine of this subject's model with that ending, if it was trained. */
  trained(ending: string): Engine | undefined;
}

export async function ablation(
  effort: Effort,
  kernels?: KernelName,
  folders: Folders = {},
): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const subject of subjectsOf(effort, kernels, folders)) {
    // A fifth for each of so many variants.
    const msMax = effort.runMsMax && effort.runMsMax / 5;
    results.push(...(await ablate(subject, effort.quick ? QUICK_ROUNDS : ROUNDS, msMax)));
  }
  return results;
}

function* subjectsOf(
  effort: Effort,
  kernels: KernelName | undefined,
  folders: Folders,
): Generator<AblationSubject> {
  const engineOf = (model: Model) =>
    new Engine(model, { streams: 2, ...(kernels === undefined ? {} : { kernels }) });
  const subjectOf = (name: string, model: Model, protocol: Protocol): AblationSubject => ({
    name,
    engine: engineOf(model),
    protocol,
    trained(ending) {
      const own = modelIn(folders.models, `${name}-${ending}`);
      return own && engineOf(own);
    },
  });
  for (const name of workloadNames) {
    const model = workloadModel(name);
    yield subjectOf(name, model, workloadProtocol(workloads[name], model, effort.quick ? QUICK_ROWS : ROWS));
  }
  for (const { recording, model } of recordingsWithModels(folders)) {
    yield subjectOf(recording.name, model, loadProtocol(recording));
  }
}

/** A line per variant that the subject's model can run, timed `rounds` times, each for `msMax` milliseconds at most. */
export async function ablate(
  subject: AblationSubject,
  rounds: number,
  msMax?: number,
): Promise<BenchResult[]> {
  const { name, engine, protocol } = subject;
  const dense = new Pipeline(engine, 1, { gating: false });
  const base = play(subject, dense);
  const spikes = tunedSpikes(engine.model);
  const lines: BenchResult[] = [];
  for (const variant of variants) {
    const own = variant.ending === undefined ? engine : subject.trained(variant.ending);
    const options = own && variant.options(own);
    if (!own || !options) continue;
    const pipeline = new Pipeline(variant.engine?.(own) ?? own, 0, {
      spikes,
      policy: basePolicy,
      ...options,
    });
    const run = play(subject, pipeline);
    const [gated, always] = await timeInTurns(protocol, [pipeline, dense], rounds, msMax);
    const caseName = `${name}, ${variant.technique}: ${variant.name}`;
    lines.push(
      result('ablation', caseName, engine.kernel, summarise(gated!.everyUs), {
        meanUs: rounded(gated!.meanUs, 4),
        timeReduction: rounded(always!.meanUs / gated!.meanUs),
        computeReduction: rounded(base.macsPerTick / run.macsPerTick),
        skipRate: rounded(run.skipRate, 4),
        ...qualityOf(run.scored, base.scored),
        verdict: variant.verdict,
      }),
    );
  }
  return lines;
}

interface Run {
  readonly scored: Scored;
  readonly macsPerTick: number;
  readonly skipRate: number;
}

function play({ engine, protocol }: AblationSubject, pipeline: Pipeline): Run {
  const { task } = engine.model.meaning;
  const recorder = makeRecorder(protocol, alarmRuleOf(task));
  const counts = runTests(protocol, pipeline, { recorder, warmUpRows: warmUpRowsOf(engine.model.config) });
  return {
    scored: recorder.scored(),
    macsPerTick: counts.macs / counts.ticks,
    skipRate: counts.tierTicks[3] / counts.ticks,
  };
}

function qualityOf(own: Scored, base: Scored): Details {
  const { name } = own.blocked;
  const kept = Math.min(...own.blocked.groups.map((_, group) => keptOf(own, base, group)));
  const [low, high] = retentionInterval(own.blocked, base.blocked);
  return {
    metric: name,
    quality: rounded(own.metric[name]!, 4),
    kept: rounded(kept, 4),
    keptAtLeast: rounded(low, 4),
    keptAtMost: rounded(high, 4),
  };
}

function keptOf(own: Scored, base: Scored, group: number): number {
  const [a, b] = [own, base].map(({ blocked }) => blocked.quality(addUp(blocked.groups[group]!)));
  return a! / b!;
}

export const ablationColumns = [
  'meanUs',
  'timeReduction',
  'computeReduction',
  'skipRate',
  'metric',
  'quality',
  'kept',
  'keptAtLeast',
  'verdict',
];

/** What the verdicts rest on, technique by technique. */
export function verdicts(results: readonly BenchResult[]): string[] {
  const spread = (variant: Variant, key: string) => {
    const ending = `, ${variant.technique}: ${variant.name}`;
    const values = results.filter((line) => line.case.endsWith(ending)).map((line) => Number(line[key]));
    return values.length === 0 ? '-' : `${Math.min(...values)} to ${Math.max(...values)}`;
  };
  const played = variants.map(
    (variant) =>
      `- ${variant.technique}, ${variant.name}: ${variant.verdict} (${variant.why}). ` +
      `Time / ${spread(variant, 'timeReduction')}, compute / ${spread(variant, 'computeReduction')}, ` +
      `keeps ${spread(variant, 'kept')}.`,
  );
  const elsewhere = measuredElsewhere.map(
    ({ technique, verdict, why, command }) => `- ${technique}: ${verdict} (${why}): \`${command}\`.`,
  );
  return [...played, ...elsewhere];
}
