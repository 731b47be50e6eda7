/** Charts side by side on many random sets of cases, dense and gated, beside the rivals. */
import type { Model } from '../../src/engine/model.ts';
import { anomalyRivals } from '../../src/eval/anomaly-rivals.ts';
import { type BlockedQuality, type Interval, retentionInterval } from '../../src/eval/bootstrap.ts';
import type { Metric } from '../../src/eval/metrics.ts';
import type { Protocol } from '../../src/eval/protocols.ts';
import { type Scored, scoreAlarms } from '../../src/eval/scores.ts';
import type { AnomalyTask } from '../../src/gateway/calibration/alarm.ts';
import type { Recording } from '../../src/recording/recording.ts';
import { type Case, type CaseKind, caseKinds, makeCases, trainingSeries } from './cases.ts';
import { judge, type Trace, traceCase } from './traces.ts';

export interface Candidate {
  readonly name: string;
  readonly task: AnomalyTask;
}

/** One kind of case, dense or gated. */
export interface Row {
  readonly candidate: string;
  readonly kind: CaseKind;
  readonly gating: boolean;
  readonly metric: Metric;
  /** 95 % interval of F1 over that of the first candidate: paired bootstrap over the series that cases come from. */
  readonly ratio: Interval;
}

/** Sets are numbered from 0. Throws RecordingError. */
export function select(
  recording: Recording,
  model: Model,
  candidates: readonly Candidate[],
  sets: number,
  onProgress: (set: number) => void,
): Row[] {
  const training = trainingSeries(recording);
  const cases = Array.from({ length: sets }, (_, set) => {
    onProgress(set);
    return makeCases(recording, training, set).map((one) => ({
      ...one,
      dense: traceCase(model, one, false),
      gated: traceCase(model, one, true),
    }));
  }).flat();
  return caseKinds.flatMap((kind) => {
    const own = cases.filter((one) => one.kind === kind);
    const protocol = protocolOf(recording, own);
    return [
      ...[false, true].flatMap((gating) => compared(protocol, own, kind, gating, candidates)),
      ...Object.entries(anomalyRivals(protocol)).map(([name, { metric }]): Row => {
        return { candidate: `rival ${name}`, kind, gating: false, metric, ratio: [Number.NaN, Number.NaN] };
      }),
    ];
  });
}

type TracedCase = Case & { readonly dense: Trace; readonly gated: Trace };

function compared(
  protocol: Protocol,
  cases: readonly TracedCase[],
  kind: CaseKind,
  gating: boolean,
  candidates: readonly Candidate[],
): Row[] {
  const scored = candidates.map(({ task }) => scoreTask(protocol, cases, gating, task));
  const base = byOrigin(scored[0]!.blocked, cases);
  return candidates.map(({ name }, index) => ({
    candidate: name,
    kind,
    gating,
    metric: scored[index]!.metric,
    ratio: retentionInterval(byOrigin(scored[index]!.blocked, cases), base),
  }));
}

function scoreTask(
  protocol: Protocol,
  cases: readonly TracedCase[],
  gating: boolean,
  task: AnomalyTask,
): Scored {
  const alarms = cases.map(({ calibrationRows, dense, gated }) => ({
    ...judge(task, gating ? gated : dense, calibrationRows),
    ordinary: 0,
    limit: task.threshold,
  }));
  return scoreAlarms(protocol, alarms);
}

/** What comes from one series is one block, whatever was injected into it: the ordinary rows are the same. */
export function byOrigin(blocked: BlockedQuality, cases: readonly Pick<Case, 'origin'>[]): BlockedQuality {
  const sums = new Map<string, Float64Array>();
  for (const [index, block] of blocked.groups[0]!.entries()) {
    const { origin } = cases[index]!;
    const before = sums.get(origin);
    sums.set(
      origin,
      block.map((value, i) => value + (before?.[i] ?? 0)),
    );
  }
  return { ...blocked, groups: [[...sums.values()]] };
}

/** As an evaluation has it, with nothing in it but the cases. */
function protocolOf(recording: Recording, cases: readonly Case[]): Protocol {
  const channels = recording.channels.length;
  return {
    recording,
    channels,
    train: [],
    tests: cases.map(({ series, calibrationRows }) => ({ series, scoredFrom: calibrationRows })),
    standardiser: { mean: new Float64Array(channels), deviation: new Float64Array(channels).fill(1) },
  };
}
