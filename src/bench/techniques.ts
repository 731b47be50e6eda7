/**
 * The techniques that can be switched, each as one change of a pipeline that sleeps by its thresholds and computes every
 * token in full. A further one adds its entries here: a variant is a pipeline's options, or an engine that is not quite
 * the model's own.
 */
import { Engine } from '../engine/engine.ts';
import type { CandidateRule, Model, SpikeSettings } from '../engine/model.ts';
import { SCORE_BIAS_MAX } from '../engine/model-ranges.ts';
import { forceTier } from '../eval/forced-tier.ts';
import { defaultCandidates } from '../eval/next-tick.ts';
import { type PolicyName, policyNames, policyOf } from '../gate/policy.ts';
import { regretModelOf } from '../gate/regret.ts';
import type { PipelineEngine, PipelineOptions } from '../gateway/pipeline-options.ts';
import { tunedSpikes } from './workload-subject.ts';

export type Verdict = 'default' | 'option' | 'kept for study';

export interface Variant {
  readonly technique: string;
  readonly name: string;
  readonly verdict: Verdict;
  /** Why, in a sentence. */
  readonly why: string;
  /** What changes of a pipeline with the model's tuned spikes and `basePolicy`; null where the model or its task has no use for it. */
  options(engine: Engine): PipelineOptions | null;
  /** Default: the model's own. */
  engine?(engine: Engine): PipelineEngine;
  /** Runs a model of its own, trained like the subject's but for the technique: NAME-ENDING.safetensors. */
  readonly ending?: string;
}

function spikes(
  name: string,
  verdict: Verdict,
  why: string,
  change: (own: SpikeSettings, engine: Engine) => SpikeSettings | null,
): Variant {
  return {
    technique: 'spikes',
    name,
    verdict,
    why,
    options(engine) {
      const changed = change(tunedSpikes(engine.model), engine);
      return changed === null ? null : { spikes: changed };
    },
  };
}

/** Of every variant that is not about policies, so that no two things change at a time. */
export const basePolicy = 'steady';

/** Nothing is distrusted, so lambda is not asked for. */
const trusting = {
  ...policyOf(basePolicy),
  lambdaFreezeEnterQ15: 0,
  lambdaFreezeLeaveQ15: 0,
  lambdaQuarantineEnterQ15: 0,
  lambdaQuarantineLeaveQ15: 0,
};

const policyVerdicts: Readonly<Record<PolicyName, readonly [Verdict, string]>> = {
  steady: ['option', 'every token in full: what the other lines run under'],
  events: ['default', 'cheaper tokens where the stream is as usual and the answer sure'],
  energy: ['option', 'needs a calibrated model'],
  conservative: ['option', 'memory protected at the first sign'],
  aggressive: ['option', 'the least compute'],
  prototype: ['kept for study', "the prototype's rule: less compute the worse things are"],
};

function policy(name: PolicyName): Variant {
  const [verdict, why] = policyVerdicts[name];
  const options = ({ model }: Engine) => {
    const lacksRegret =
      policyOf(name).compute === 'followsRegret' && regretModelOf(model.meaning) === undefined;
    return lacksRegret ? null : { policy: name };
  };
  return { technique: 'policy', name, verdict, why, options };
}

function earlyExit(tier: 1 | 2): Variant {
  return {
    technique: 'early exit',
    name: `every token at tier ${tier}`,
    verdict: 'option',
    why: 'half the layers of a token; a policy uses it where it is harmless',
    options: () => ({}),
    engine: (engine) => forceTier(engine, tier),
  };
}

/** A technique that changes what is trained; its model has the subject's thresholds. */
function trained(technique: string, name: string, ending: string, why: string): Variant {
  return { technique, name, verdict: 'kept for study', why, options: () => ({}), ending };
}

/** The same weights with no sink to speak of: what a head has no use for it must then give to what it sees. */
function withoutSink({ model, kernel }: Engine): Engine {
  const layers = model.weights.layers.map((layer) => ({
    ...layer,
    sink: layer.sink.map(() => -SCORE_BIAS_MAX),
  }));
  return new Engine({ ...model, weights: { ...model.weights, layers } }, { kernels: kernel });
}

function candidatesOf({ meaning }: Model): CandidateRule {
  return meaning.candidates ?? defaultCandidates;
}

/** Thresholds alone come first: everything else is read beside them. */
export const variants: readonly Variant[] = [
  spikes('send-on-delta', 'default', 'the large gain: most ticks cost next to nothing', (own) => own),
  spikes('off: every tick a token', 'option', 'for streams that never rest', (own) => ({
    ...own,
    delta: own.delta.map(() => 0),
  })),
  spikes(
    'send-on-prediction, trend',
    'kept for study',
    'no fewer tokens than send-on-delta but on long ramps',
    (own) => ({
      ...own,
      rule: 'trend',
    }),
  ),
  spikes(
    'send-on-prediction, forecast',
    'kept for study',
    'a model alone predicts worse than holding does',
    (own, { model }) => (model.meaning.task.kind === 'classify' ? null : { ...own, rule: 'forecast' }),
  ),
  {
    technique: 'spikes',
    name: 'send-on-prediction, forecast of the least energy',
    verdict: 'option',
    why: 'where the model alone predicts worse than holding does',
    options: ({ model }) =>
      model.meaning.task.kind === 'classify'
        ? null
        : { spikes: { ...tunedSpikes(model), rule: 'forecast' }, candidates: candidatesOf(model) },
  },
  spikes('no heartbeat before its time', 'default', 'as older models have it', (own) => ({
    ...own,
    firstHeartbeat: own.heartbeat,
  })),
  spikes('heartbeats soon after a change', 'option', 'looks again when a value has settled', (own) => ({
    ...own,
    firstHeartbeat: own.heartbeat.map(() => 2),
  })),
  {
    technique: 'coherence',
    name: 'off: everything is trusted',
    verdict: 'option',
    why: 'lambda guards memory, and costs little where bounds decide',
    options: () => ({ policy: trusting }),
  },
  {
    technique: 'coherence',
    name: 'exact cut at every token',
    verdict: 'kept for study',
    why: 'bounds answer what the policy asks',
    options: () => ({ exactLambda: true }),
  },
  {
    technique: 'quarantine',
    name: 'outputs withheld',
    verdict: 'kept for study',
    why: 'outputs of distrusted tokens are nearly as good as others; held ones are not',
    options: ({ model }) => (model.meaning.task.kind === 'anomaly' ? null : { withholdQuarantined: true }),
  },
  ...policyNames.filter((name) => name !== basePolicy).map(policy),
  earlyExit(1),
  earlyExit(2),
  {
    technique: 'candidates',
    name: 'the least energy is put out',
    verdict: 'option',
    why: 'predicts the next tick better than the model or any one rival; scores and classes are the same',
    options: ({ model }) =>
      model.meaning.task.kind === 'classify' ? null : { candidates: candidatesOf(model) },
  },
  trained('depth', 'one layer', 'one-layer', 'what the next two must beat'),
  trained('depth', 'mixture-of-depths', 'routing', 'no better than leaving the routed layer out'),
  trained('depth', 'routed at random', 'fixed-router', 'hardly worse than learning where to route'),
  {
    technique: 'attention',
    name: 'the same window without its learned sink',
    verdict: 'kept for study',
    why: 'what was trained with a sink needs it; it costs nothing, and is the default',
    options: () => ({}),
    engine: withoutSink,
  },
  trained('attention', 'spikes', 'spike-attention', 'saves a hundredth of the products'),
  trained('attention', 'newest 8 of 32', 'newest', 'what pinned tokens must beat'),
  {
    ...trained(
      'attention',
      'newest 8 and 4 pinned of 32',
      'pinned',
      'remembers rare events where the answer hangs on them; these plants show it at once',
    ),
    verdict: 'option',
  },
  trained('refinement', 'up to three rounds', 'refinement', 'surer answers, not righter ones'),
];

/** What no line of the table shows by itself, and the command that measures it. */
export interface MeasuredElsewhere extends Pick<Variant, 'technique' | 'verdict' | 'why'> {
  readonly command: string;
}

export const measuredElsewhere: readonly MeasuredElsewhere[] = [
  {
    technique: 'early exit by calibrated confidence, state propagated',
    verdict: 'option',
    why: 'changes at most the asked share of answers, where there are rows enough to fit it',
    command: 'dormouse calibrate gate --exit',
  },
  {
    technique: 'self-speculative rollouts',
    verdict: 'kept for study',
    why: 'the same bits, at most 1.18 times as fast on one core',
    command: 'dormouse bench speculation',
  },
  {
    technique: 'exact integer delta layer',
    verdict: 'kept for study',
    why: 'slower than SIMD dense',
    command: 'dormouse bench delta',
  },
  {
    technique: 'A-shape, vertical-slash and block-sparse attention',
    verdict: 'option',
    why: 'faster from 128 positions on',
    command: 'dormouse bench long-context',
  },
  {
    technique: 'keys and values of four bits, rotated or not',
    verdict: 'option',
    why: 'less memory for long rings, never less time',
    command: 'dormouse bench long-context',
  },
  {
    technique: 'freeze and quarantine of keys and values',
    verdict: 'default',
    why: 'only where channels have come apart: beside `coherence: off` above; earlier in `conservative`',
    command: 'dormouse bench ablation',
  },
  {
    technique: 'flush of keys and values',
    verdict: 'kept for study',
    why: 'only `prototype` flushes, and loses a forecast its past',
    command: 'dormouse bench ablation',
  },
  {
    technique: 'routing by lambda, by novelty and by chance',
    verdict: 'kept for study',
    why: 'a tenth of what two seeds differ by',
    command: 'node scripts/techniques.mjs',
  },
  {
    technique: 'lambda as evidence of a fault',
    verdict: 'kept for study',
    why: 'adds to novelty only for stuck sensors of strongly coupled channels',
    command: 'dormouse lambda',
  },
];
