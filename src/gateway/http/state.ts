/** What the page is told of a gateway, beside its ticks. */
import type { EnergySnapshot } from '../../energy/metrics.ts';
import type { Task } from '../../engine/model.ts';
import { Q15_ONE } from '../../gate/packets.ts';
import type { Policy } from '../../gate/policy.ts';
import { reasons, trusts } from '../../gate/witness-codes.ts';
import type { Description, EnergyState, PolicyState, State } from '../../page/protocol.ts';
import { version } from '../../version.ts';
import type { Gateway } from '../service.ts';
import type { Health } from './health.ts';

export function descriptionOf(
  { config, engine }: Gateway,
  startedMs: number,
  historyTicks: number,
): Description {
  const { channels, task, intervalMs } = engine.model.meaning;
  return {
    gateway: config.gateway,
    version,
    startedMs,
    kernel: engine.kernel,
    intervalMs,
    historyTicks,
    channels: channels.map(({ name, unit }) => ({ name, unit })),
    task: taskOf(task),
    trusts,
    reasons,
  };
}

function taskOf(task: Task): Description['task'] {
  if (task.kind === 'classify') return { kind: task.kind, classes: task.classes };
  if (task.kind === 'anomaly') return { kind: task.kind, threshold: task.threshold };
  return { kind: task.kind, horizon: task.horizon };
}

export function stateOf(
  { pipeline, connection, engine }: Gateway,
  health: Health,
  uptimeS: number,
  energy: EnergySnapshot | undefined,
): State {
  const { frames, perTier, macs, macsDense } = pipeline.counters;
  const failing = Object.values(health.checks).filter(({ ok }) => !ok);
  return {
    uptimeS,
    connected: connection.ready,
    problems: failing.map(({ why }) => why),
    ticks: frames,
    perTier: [...perTier],
    macs,
    macsDense,
    policy: policyState(pipeline.policy),
    override: pipeline.override,
    energy: energy === undefined ? null : energyState(energy),
    forecast: forecastOf(pipeline.output, engine.model.meaning.task),
  };
}

function policyState({ name, lambdaFreezeEnterQ15, lambdaQuarantineEnterQ15 }: Policy): PolicyState {
  return {
    name,
    freezeShare: lambdaFreezeEnterQ15 / Q15_ONE,
    quarantineShare: lambdaQuarantineEnterQ15 / Q15_ONE,
  };
}

function energyState({ source, scope, totals, powerWatts }: EnergySnapshot): EnergyState {
  return {
    source,
    scope,
    energyJ: known(totals.energyJ),
    aboveIdleJ: known(totals.energyAboveIdleJ),
    savedEstimateJ: known(totals.savedEstimateJ),
    powerW: known(powerWatts),
  };
}

function forecastOf({ hasValue, values }: Gateway['pipeline']['output'], task: Task): number[][] | null {
  if (task.kind !== 'forecast' || !hasValue) return null;
  const { horizon } = task;
  return Array.from({ length: values.length / horizon }, (_, channel) => [
    ...values.subarray(channel * horizon, (channel + 1) * horizon),
  ]);
}

function known(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
