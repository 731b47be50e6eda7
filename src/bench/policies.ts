/**
 * The policies beside each other on rows that may choose between them: seeds of the plants that no other benchmark plays,
 * and the training and validation rows of recordings, as `tune` takes them. Nothing here is a score.
 */
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import type { Model, SpikeSettings } from '../engine/model.ts';
import { addUp, type BlockedQuality, retentionInterval } from '../eval/bootstrap.ts';
import { scaleThresholds } from '../eval/passes.ts';
import type { Protocol } from '../eval/protocols.ts';
import { alarmRuleOf, makeRecorder } from '../eval/recorders.ts';
import { runTests, warmUpRowsOf } from '../eval/runs.ts';
import { loadTuneRows } from '../eval/tune-rows.ts';
import { policyNames, policyOf } from '../gate/policy.ts';
import { regretModelOf } from '../gate/regret.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { workloadNames, workloads } from '../workloads/physics.ts';
import { generatePart, seedsOf } from '../workloads/recording.ts';
import { type Folders, modelIn, recordingsWithModels } from './folders.ts';
import { type BenchResult, type Effort, result, rounded, summarise } from './harness.ts';
import { tunedSpikes, WORKLOAD_SEED, workloadModel, workloadProtocol } from './workload-subject.ts';

const ROWS = 20_000;
const QUICK_ROWS = 1_000;
/** Their validation parts are played. */
const SEEDS = [1, 2, 3].map((more) => WORKLOAD_SEED + more);
/** Tuned thresholds leave few tokens; with half of them a policy has more to decide. */
const SCALES = [1, 0.5];
/** What the others are read beside. */
const BASE = 'steady';

interface Subject {
  readonly name: string;
  readonly model: Model;
  readonly protocol: Protocol;
  readonly spikes: SpikeSettings;
}

interface Run {
  readonly macsPerTick: number;
  readonly usPerTick: number;
  readonly tiers: string;
  /** All series in one group. */
  readonly blocked: BlockedQuality;
  readonly quality: number;
}

export async function policies(
  effort: Effort,
  kernels?: KernelName,
  folders: Folders = {},
): Promise<BenchResult[]> {
  return [...subjectsOf(effort, folders)].flatMap((subject) => comparePolicies(subject, kernels));
}

function* subjectsOf({ quick }: Effort, folders: Folders): Generator<Subject> {
  const [rows, seeds] = quick ? [QUICK_ROWS, SEEDS.slice(0, 1)] : [ROWS, SEEDS];
  for (const name of workloadNames) {
    const model = modelIn(folders.models, name) ?? workloadModel(name);
    const played = workloadProtocol(workloads[name], model, 1);
    const tests = seeds.map((seed) => ({
      series: generatePart(workloads[name], 'validation', seedsOf(seed), rows),
      scoredFrom: 0,
    }));
    yield* scaled({ name, model, protocol: { ...played, tests }, spikes: tunedSpikes(model) });
  }
  for (const { recording, model } of recordingsWithModels(folders)) {
    const { protocol } = loadTuneRows(model, recording);
    yield* scaled({ name: recording.name, model, protocol, spikes: tunedSpikes(model) });
  }
}

function scaled(subject: Subject): Subject[] {
  return SCALES.map((scale) => ({
    ...subject,
    name: scale === 1 ? subject.name : `${subject.name}, thresholds x ${scale}`,
    spikes: scaleThresholds(subject.spikes, scale),
  }));
}

/** A line per policy that the model can follow. */
export function comparePolicies(subject: Subject, kernels?: KernelName): BenchResult[] {
  const { name, model, spikes } = subject;
  const engine = new Engine(model, { streams: 2, ...(kernels === undefined ? {} : { kernels }) });
  const dense = play(subject, new Pipeline(engine, 1, { gating: false }));
  const base = play(subject, new Pipeline(engine, 0, { spikes, policy: BASE }));
  const followable = policyNames.filter(
    (policy) => policyOf(policy).compute !== 'followsRegret' || regretModelOf(model.meaning) !== undefined,
  );
  return followable.map((policy) => {
    const run = policy === BASE ? base : play(subject, new Pipeline(engine, 0, { spikes, policy }));
    const [atLeast] = retentionInterval(run.blocked, dense.blocked);
    const [ofBaseAtLeast, ofBaseAtMost] = retentionInterval(run.blocked, base.blocked);
    return result(
      'policies',
      `${name}, ${policy}`,
      engine.kernel,
      summarise(Float64Array.of(run.usPerTick)),
      {
        tiers: run.tiers,
        computeReduction: rounded(dense.macsPerTick / run.macsPerTick),
        computeOfSteady: rounded(base.macsPerTick / run.macsPerTick),
        kept: rounded(run.quality / dense.quality, 4),
        keptAtLeast: rounded(atLeast, 4),
        keptOfSteady: rounded(run.quality / base.quality, 4),
        keptOfSteadyAtLeast: rounded(ofBaseAtLeast, 4),
        keptOfSteadyAtMost: rounded(ofBaseAtMost, 4),
      },
    );
  });
}

function play({ model, protocol }: Subject, pipeline: Pipeline): Run {
  const recorder = makeRecorder(protocol, alarmRuleOf(model.meaning.task));
  const { macs, ticks, elapsedMs, tierTicks } = runTests(protocol, pipeline, {
    recorder,
    warmUpRows: warmUpRowsOf(model.config),
  });
  const { blocked } = recorder.scored();
  const all = blocked.groups.flat();
  return {
    macsPerTick: macs / ticks,
    usPerTick: (1000 * elapsedMs) / ticks,
    tiers: tierTicks.map((count) => `${((100 * count) / ticks).toFixed(1)} %`).join(' '),
    blocked: { ...blocked, groups: [all] },
    quality: blocked.quality(addUp(all)),
  };
}

export const policyColumns = [
  'tiers',
  'computeReduction',
  'computeOfSteady',
  'kept',
  'keptAtLeast',
  'keptOfSteady',
  'keptOfSteadyAtLeast',
];
