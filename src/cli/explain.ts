/** `dormouse explain`: why the gate decided as it did, and what it would have decided one notch away. */
import { Engine } from '../engine/engine.ts';
import type { Model } from '../engine/model.ts';
import { matchRecording } from '../eval/match-recording.ts';
import { rivalNames } from '../gate/candidates.ts';
import { describe, type Explanation, explain, type RuleReport } from '../gate/explain.ts';
import { modelText } from '../gate/model-tag.ts';
import type { Notch } from '../gate/notches.ts';
import { defaultPolicyName, type Policy, policyByHash, policyNames, policyOf } from '../gate/policy.ts';
import { Witness } from '../gate/witness.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { openRecording, readSeries } from '../recording/recording.ts';
import { parseTime } from '../recording/time.ts';
import { type Command, UsageError } from './command.ts';
import { readModel, readModelTag } from './files.ts';
import { findWitness, notLogged, type TickRange, type Wanted } from './find-witness.ts';
import { parseOptions, requireChoice, wholeNumberOption } from './options.ts';
import { alignColumns } from './terminal/columns.ts';

export const command: Command = {
  name: 'explain',
  summary: 'say why the gate decided as it did at a tick, and how close it was to deciding otherwise',
  usage: `Usage: dormouse explain LOG [--sequence N | --time T] [--model MODEL] [--json]
       dormouse explain MODEL RECORDING [--row N | --time T] [--policy NAME] [--json]

Shows for one tick what was seen, which value crossed which threshold, what was decided and why, and what would have
been decided with each threshold and each input moved by one notch (an eighth; counts by one).

  LOG              directory of a witness log, as \`dormouse run\` writes it; MODEL only names its channels
  MODEL RECORDING  plays the recording's first tested file, or the CSV file that RECORDING names, up to the tick

  --sequence N   the tick's number since the gateway started; of several starts the last (default: the last tick)
  --row N        the row of the file, from 0 (default: the last)
  --time T       the last tick at or before T: ISO 8601, or seconds as the recording writes them
  --policy NAME  ${policyNames.join(', ')}
  --json         one JSON object instead of text`,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        sequence: { type: 'string' },
        row: { type: 'string' },
        time: { type: 'string' },
        model: { type: 'string' },
        policy: { type: 'string' },
        json: { type: 'boolean' },
      },
      allowPositionals: true,
    });
    const event =
      positionals.length === 2 ? replayed(positionals, values) : await logged(positionals, values);
    const explanation = explain(event.witness, event.policy);
    const names = event.model?.meaning.channels.map(({ name }) => name) ?? [];
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ policy: event.policy.name, witness: event.witness.toJson(names), missingBefore: event.missingBefore ?? null, ...explanation })}\n`
        : `${text(event, names, explanation).join('\n')}\n`,
    );
    return 0;
  },
};

/** A tick to explain. */
interface Event {
  readonly witness: Witness;
  readonly policy: Policy;
  readonly model?: Model;
  /** Ticks right before it that the log does not have; null: none, or not known. */
  readonly missingBefore?: TickRange | null;
  /** Of the model that names the channels, which need not be the one that decided. */
  readonly modelTag?: number;
}

interface Options {
  readonly sequence?: string | undefined;
  readonly row?: string | undefined;
  readonly time?: string | undefined;
  readonly model?: string | undefined;
  readonly policy?: string | undefined;
}

async function logged(positionals: readonly string[], options: Options): Promise<Event> {
  const [directory, ...surplus] = positionals;
  if (directory === undefined || surplus.length > 0) {
    throw new UsageError('expected a witness log, or a model and a recording');
  }
  refuse(options, ['row', 'policy'], 'a witness log');
  const wanted = wantedTick(options, 'sequence');
  const { witness, missingBefore } = await findWitness(directory, wanted);
  const policy = policyByHash(witness.policyHash);
  if (policy === undefined && witness.policyHash !== 0) {
    throw new Error(
      `${directory}: tick ${witness.sequence} was decided by a policy that this version does not have (hash ${witness.policyHash.toString(16)})`,
    );
  }
  const named =
    options.model === undefined
      ? {}
      : { model: readModel(options.model), modelTag: readModelTag(options.model) };
  // Without a policy there was no gate, which the explanation says.
  return { witness, policy: policy ?? policyOf(defaultPolicyName), missingBefore, ...named };
}

function wantedTick(options: Options, numbered: 'sequence' | 'row'): Wanted {
  const { time } = options;
  const number = options[numbered];
  if (number !== undefined && time !== undefined)
    throw new UsageError(`expected --${numbered} or --time, got both`);
  const timeMs = time === undefined ? undefined : parseTime(time);
  if (Number.isNaN(timeMs)) throw new UsageError(`--time: expected ISO 8601 or seconds, got '${time}'`);
  const max = Number.MAX_SAFE_INTEGER;
  return {
    number: number === undefined ? undefined : wholeNumberOption(numbered, number, 0, 0, max),
    timeMs,
  };
}

function refuse(options: Options, names: readonly (keyof Options)[], what: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given}: does not go with ${what}`);
}

/** Plays a file up to the tick, lambda known exactly. */
function replayed([modelPath, recordingPath]: readonly string[], options: Options): Event {
  refuse(options, ['sequence', 'model'], 'a recording');
  const wanted = wantedTick(options, 'row');
  const model = readModel(modelPath!);
  const policy = policyOf(requireChoice('--policy', options.policy ?? defaultPolicyName, policyNames));
  const recording = matchRecording(model, openRecording(recordingPath!));
  const series = readSeries(recording, recording.test[0]!.file);
  const pipeline = new Pipeline(new Engine(model), 0, {
    policy,
    exactLambda: true,
    modelTag: readModelTag(modelPath!),
  });
  const channels = recording.channels.length;
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  const last = lastRow(series.timeMs, wanted, series.name);
  let witness = new Witness();
  for (let row = 0; row <= last; row++) {
    frame.timeMs = series.timeMs[row]!;
    frame.values.set(series.values.subarray(row * channels, (row + 1) * channels));
    witness = pipeline.tick(frame);
  }
  return { witness, policy, model };
}

function lastRow(timeMs: Float64Array, { number, timeMs: until }: Wanted, name: string): number {
  const rows = timeMs.length;
  if (number !== undefined && number >= rows)
    throw new Error(`${name}: expected a row below ${rows}, got ${number}`);
  if (until === undefined) return number ?? rows - 1;
  if (until < timeMs[0]!) throw new Error(`${name}: expected a time from ${isoTime(timeMs[0]!)} on`);
  return timeMs.findLastIndex((time) => time <= until);
}

function text(
  { witness, policy, modelTag, missingBefore }: Event,
  names: readonly string[],
  explanation: Explanation,
): string[] {
  const { decision, why, rules, notches, waitsFor } = explanation;
  const fired = names.length > 0 || witness.firedCount > 0 ? firedText(witness, names) : 'nothing';
  const head = [
    `tick ${witness.sequence} at ${isoTime(witness.timeMs)}, policy ${policy.name}`,
    ...(witness.model === 0
      ? []
      : [`model    ${modelText(witness.model)}${otherModel(witness.model, modelTag)}`]),
    `decided  ${describe(decision)}; keys and values: ${witness.kv}`,
    `because  ${why}`,
    `fired    ${fired}`,
    ...(missingBefore ? [`before   ${notLogged(missingBefore)}`] : []),
    ...rivalsText(witness),
  ];
  if (rules.length === 0) return head;
  return [...head, ...waitingText(waitsFor), '', ...ruleTable(rules), '', ...notchText(notches)];
}

function otherModel(decided: number, named = decided): string {
  return decided === named ? '' : `; not the one given, which is ${modelText(named)}`;
}

function rivalsText({ rivalChannels, rivalKinds, channels }: Witness): string[] {
  if (rivalChannels === 0) return [];
  const by = rivalNames(rivalKinds).join(', ');
  return [`predicts ${rivalChannels} of ${channels} channels otherwise than the model: ${by}`];
}

function firedText(witness: Witness, names: readonly string[]): string {
  const fired = Array.from({ length: witness.channels }, (_, channel) => channel)
    .filter((channel) => witness.fired(channel))
    .map((channel) => names[channel] ?? `channel ${channel}`);
  return fired.join(', ') || 'nothing';
}

function waitingText({ goodSamples, ticks }: Explanation['waitsFor']): string[] {
  if (goodSamples === 0 && ticks === 0) return [];
  return [`waits    ${goodSamples} good tokens and ${ticks} ticks more before it relaxes`];
}

function ruleTable(rules: readonly RuleReport[]): string[] {
  const rows = rules.map((rule) => [
    rule.name,
    rule.value === null ? `${short(rule.from)} to ${short(rule.to)}` : short(rule.value),
    rule.limit === null ? '' : `${rule.side} ${short(rule.limit)}`,
    rule.leavingLimit === null ? '' : short(rule.leavingLimit),
    rule.notAsked || (rule.holds ? 'holds' : rule.keeps ? 'not far enough to leave' : 'does not hold'),
  ]);
  return alignColumns([['rule', 'value', 'holds', 'leaves at', ''], ...rows]);
}

function notchText(notches: readonly Notch[]): string[] {
  const changing = notches.filter(({ changes }) => changes);
  const head = `one notch away: ${notches.length} tried, ${changing.length} change the decision`;
  const rows = changing.map(({ what, from, to, decision }) => [
    `  ${what}`,
    `${from} -> ${to}`,
    decision === null ? 'not known: it depends on where between its bounds lambda was' : describe(decision),
  ]);
  return [head, ...alignColumns(rows)];
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function isoTime(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? `${timeMs} ms` : date.toISOString();
}
