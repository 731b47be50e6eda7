/**
 * Does a better expectation need fewer tokens? Whoever gets the tokens expects readings in between by the same rule as the
 * encoder; how far that is from the readings is the error, none at a token, which carries them.
 */
import type { Engine } from '../engine/engine.ts';
import type { CandidateRule, SpikeRule, SpikeSettings } from '../engine/model.ts';
import { type Age, type Expectation, expectationOf } from '../gate/expectation.ts';
import type { Witness } from '../gate/witness.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { scaleThresholds } from './passes.ts';
import { type Protocol, scoredSpan } from './protocols.ts';
import { type Recorder, runTests, warmUpRowsOf } from './runs.ts';

export interface Sending {
  /** Share of ticks that became tokens. */
  readonly tokenShare: number;
  /** Mean absolute error of what is expected, over all readings, in standard deviations of the channels' training rows. */
  readonly mae: number;
}

export interface SendingResult extends Sending {
  readonly rule: SpikeRule;
  /** Whether the forecast is that of the candidate with the least energy. */
  readonly ranked: boolean;
  /** Thresholds so many times as wide make the same error as send-on-delta; with them so many tokens are needed. */
  readonly matched: Sending & { readonly thresholdScale: number };
}

const kinds: readonly Pick<SendingResult, 'rule' | 'ranked'>[] = [
  { rule: 'delta', ranked: false },
  { rule: 'trend', ranked: false },
  { rule: 'forecast', ranked: false },
  { rule: 'forecast', ranked: true },
];

/** Of a model that predicts readings. The first result is send-on-delta with the thresholds of `spikes`. */
export function sendOnPrediction(
  protocol: Protocol,
  engine: Engine,
  spikes: SpikeSettings,
  candidates: CandidateRule,
): SendingResult[] {
  const results: SendingResult[] = [];
  for (const { rule, ranked } of kinds) {
    const send = (scale: number) =>
      play(protocol, engine, { ...scaleThresholds(spikes, scale), rule }, ranked ? candidates : null);
    const own = send(1);
    const target = results[0]?.mae ?? own.mae;
    results.push({ rule, ranked, ...own, matched: match(send, own, target) });
  }
  return results;
}

const HALVINGS = 8;
const WIDEST = 16;

/** Finds the thresholds by halving between a sixteenth and sixteen times the own ones, in logarithms. */
function match(send: (scale: number) => Sending, own: Sending, mae: number): SendingResult['matched'] {
  if (own.mae === mae) return { ...own, thresholdScale: 1 };
  let low = -Math.log2(WIDEST);
  let high = Math.log2(WIDEST);
  let best = { ...own, thresholdScale: 1 };
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (low + high) / 2;
    const sent = send(2 ** middle);
    if (Math.abs(sent.mae - mae) < Math.abs(best.mae - mae)) best = { ...sent, thresholdScale: 2 ** middle };
    if (sent.mae > mae) high = middle;
    else low = middle;
  }
  return best;
}

function play(
  protocol: Protocol,
  engine: Engine,
  spikes: SpikeSettings,
  candidates: CandidateRule | null,
): Sending {
  const pipeline = new Pipeline(engine, 0, { policy: 'steady', spikes, candidates });
  const expectation = expectationOf(protocol.channels, spikes.rule, pipeline.output.values);
  const recorder = new Receiver(protocol, expectation);
  const counts = runTests(protocol, pipeline, { recorder, warmUpRows: warmUpRowsOf(engine.model.config) });
  return { tokenShare: 1 - counts.tierTicks[3] / counts.ticks, mae: recorder.mae };
}

/** Sees nothing but tokens and what the gateway puts out with them. */
class Receiver implements Recorder<unknown, Witness> {
  readonly #protocol: Protocol;
  readonly #expectation: Expectation;
  readonly #age: Age = new Float64Array(1);
  #file = -1;
  #lastMs = 0;
  #errors = 0;
  #readings = 0;

  constructor(protocol: Protocol, expectation: Expectation) {
    this.#protocol = protocol;
    this.#expectation = expectation;
  }

  get mae(): number {
    return this.#errors / this.#readings;
  }

  /** The forecast that a token brings is put out by now, and is expected from the next row on. */
  row(file: number, row: number, _output: unknown, witness: Witness | null): void {
    const { recording, channels, tests } = this.#protocol;
    const { series } = tests[file]!;
    const values = series.values.subarray(row * channels, (row + 1) * channels);
    if (file !== this.#file) this.#begin(file, series.timeMs[row]!);
    this.#age[0]! += (series.timeMs[row]! - this.#lastMs) / recording.intervalMs;
    this.#lastMs = series.timeMs[row]!;
    const isToken = witness !== null && witness.tier !== 3;
    if (!isToken) this.#expectation.advance(this.#age);
    if (row >= scoredSpan(recording, tests[file]!).from) this.#score(values, isToken);
    if (!isToken) return;
    this.#expectation.learn(values, this.#age);
    this.#age[0] = 0;
  }

  #begin(file: number, timeMs: number): void {
    this.#file = file;
    this.#lastMs = timeMs;
    this.#age[0] = 0;
    this.#expectation.reset();
  }

  #score(values: Float64Array, isToken: boolean): void {
    const { deviation } = this.#protocol.standardiser;
    for (const [channel, value] of values.entries()) {
      const error = Math.abs(value - this.#expectation.values[channel]!) / deviation[channel]!;
      if (!Number.isFinite(value) || !(isToken || Number.isFinite(error))) continue;
      this.#readings++;
      this.#errors += isToken ? 0 : error;
    }
  }
}
