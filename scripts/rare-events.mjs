/**
 * A recording of a plant that has to be remembered: a valve that a short pulse opens or shuts, seen only in that pulse,
 * while two other sensors move all the time. The class is what the valve is. What the newest readings can't tell, a
 * model with long memory can; with it `train --pattern` shows what pinned tokens are worth where they must help.
 *
 * node scripts/rare-events.mjs DIRECTORY [SEED]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomNumbers } from './random.mjs';

const ROWS = { train: 20_000, validation: 5_000, test: 10_000 };
const INTERVAL_MS = 10_000;
/** Chances per tick: of a pulse, and of a move of each other sensor. */
const PULSE = 1 / 60;
const MOVE = 1 / 5;

const [directory, seed = '1'] = process.argv.slice(2);
if (directory === undefined || !/^\d+$/.test(seed)) {
  console.error('usage: node scripts/rare-events.mjs DIRECTORY [SEED]');
  process.exit(2);
}

const random = randomNumbers(Number(seed));

/** Irwin and Hall's sum of uniforms: nearly normal, of deviation 1. */
function normal() {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random();
  return sum;
}

function lines(rows) {
  let isOpen = random() < 0.5;
  const others = [0, 0];
  return Array.from({ length: rows }, (_, row) => {
    const isPulse = row === 0 || random() < PULSE;
    if (isPulse) isOpen = random() < 0.5;
    const pressure = 100 + (isPulse ? (isOpen ? 4 : -4) : 0) + 0.2 * normal();
    for (let i = 0; i < others.length; i++) if (random() < MOVE) others[i] = normal();
    const [temperature, flow] = others.map((other, i) => 20 * (i + 1) + other);
    // A sensor that rests between pulses, up to a step of noise now and then.
    const cells = [pressure.toFixed(0), temperature.toFixed(2), flow.toFixed(2)];
    return [new Date(row * INTERVAL_MS).toISOString(), ...cells, isOpen ? 'open' : 'shut'].join(',');
  });
}

mkdirSync(directory, { recursive: true });
for (const [name, rows] of Object.entries(ROWS)) {
  const header = 'time,pressure,temperature,flow,label';
  writeFileSync(join(directory, `${name}.csv`), `${[header, ...lines(rows)].join('\n')}\n`);
}
const recording = {
  name: 'rare-events',
  task: 'classify',
  classes: ['shut', 'open'],
  time: 'time',
  label: 'label',
  channels: { pressure: 'kPa', temperature: 'Celsius', flow: 'l/min' },
  intervalS: INTERVAL_MS / 1000,
  source: `generated, seed ${seed}: a valve that a pulse opens or shuts`,
  ...Object.fromEntries(Object.keys(ROWS).map((name) => [name, [`${name}.csv`]])),
};
writeFileSync(join(directory, 'recording.json'), `${JSON.stringify(recording, null, 2)}\n`);
