/**
 * Does one thing so many times, to be counted: `node steps.mjs PRESET TIER KERNELS TIMES`. Tier 3 is a tick that nothing
 * happens in, through the whole pipeline.
 */
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import { presetConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { kernelNames } from '../../src/engine/kernels/choose.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';

const channels = ['a', 'b', 'c', 'd', 'e'];
const features = channels.length * 4 + 16;
const [preset, tierText, wanted, timesText] = process.argv.slice(2);
const kernels = kernelNames.find((name) => name === wanted)!;
const tier = Number(tierText);
const config = presetConfig(preset as 'micro' | 'baseline', features, 2);
const engine = new Engine(randomModel({ seed: 1, config, channels }), { kernels });
const act = tier === 3 ? quietTicks() : steps();
for (let times = Number(timesText); times > 0; times--) act();

function steps(): () => void {
  const ticks = randomFeatures(64 * features, 1);
  const plan = engine.plans[tier]!.write;
  let at = 0;
  return () => {
    engine.step(0, ticks.subarray(at, at + features), plan);
    at = (at + features) % ticks.length;
  };
}

/** Nothing moves, and no heartbeat comes. */
function quietTicks(): () => void {
  const never = channels.map(() => 2 ** 30);
  const spikes = { delta: channels.map(() => 1), heartbeat: never, refractory: channels.map(() => 0) };
  const pipeline = new Pipeline(engine, 0, { spikes });
  const frame = { timeMs: 0, values: new Float64Array(channels.length) };
  return () => {
    frame.timeMs += 60_000;
    pipeline.tick(frame);
  };
}
