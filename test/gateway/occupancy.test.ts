/** The gate on a real recording: what a default costs is measured, not supposed. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { tinyModel } from '../engine/tiny-model.ts';

const directory = new URL('../../../shared/data/occupancy', import.meta.url).pathname;
const isThere = existsSync(directory);
if (!isThere) console.warn(`skipped: no recording at ../shared/data/occupancy`);

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))]!;
}

/** An untrained model with the recording's channels: the gate does not look at the outputs. */
function gateOnly() {
  const recording = openRecording(directory);
  const series = readSeries(recording, 'train.csv');
  const names = recording.channels.map((channel) => channel.name);
  const columns = names.map((_, c) =>
    Float64Array.from({ length: series.rows }, (_, row) => series.values[row * names.length + c]!),
  );
  const channels = columns.map((column, index) => {
    const center = column.reduce((sum, value) => sum + value) / column.length;
    const variance = column.reduce((sum, value) => sum + (value - center) ** 2, 0) / column.length;
    return { name: names[index]!, unit: '', center, scale: Math.sqrt(variance) };
  });
  const delta = columns.map((column) => {
    const sorted = column.slice().sort();
    return 0.1 * (quantile(sorted, 0.75) - quantile(sorted, 0.25));
  });
  const spikes = { delta, heartbeat: names.map(() => 30), refractory: names.map(() => 0) };
  const model = tinyModel({
    channels: names,
    meaning: { channels, intervalMs: recording.intervalMs, spikes },
  });
  return { series, engine: new Engine(model) };
}

describe.skipIf(!isThere)('the gate on the occupancy recording', () => {
  const play = (policy: 'steady' | 'prototype') => {
    const { series, engine } = gateOnly();
    const pipeline = new Pipeline(engine, 0, { policy });
    const count = engine.model.meaning.channels.length;
    const frame = { timeMs: 0, values: new Float64Array(count) };
    const kv = { none: 0, write: 0, freeze: 0, flush: 0, quarantine: 0 };
    let oldest = 0;
    for (let row = 0; row < series.rows; row++) {
      frame.timeMs = series.timeMs[row]!;
      frame.values.set(series.values.subarray(row * count, (row + 1) * count));
      const witness = pipeline.tick(frame);
      kv[witness.kv]++;
      oldest = Math.max(oldest, witness.elapsedIntervals);
    }
    return { kv, oldest, counters: pipeline.counters };
  };

  it('sleeps at nine of ten minutes, and is never silent for longer than the heartbeat', () => {
    const { counters, oldest } = play('steady');
    expect(counters.frames).toBe(8143);
    expect(counters.stale + counters.missing).toBe(0);
    expect(counters.skips / counters.frames).toBeGreaterThan(0.88);
    expect(oldest).toBeLessThan(31);
  });

  it('hardly ever freezes a healthy room by default', () => {
    const { kv, counters } = play('steady');
    expect((kv.freeze + kv.quarantine) / counters.tokens).toBeLessThan(0.02);
    expect(kv.flush).toBe(0);
    expect(counters.perTier[0]).toBe(counters.tokens);
  });

  it('is no place for the rules of the prototype: they distrust the room at a third of its tokens', () => {
    const { kv, counters } = play('prototype');
    expect((kv.freeze + kv.quarantine) / counters.tokens).toBeGreaterThan(0.2);
    expect((counters.perTier[1]! + counters.perTier[2]!) / counters.tokens).toBeGreaterThan(0.33);
  });
});
