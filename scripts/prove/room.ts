/** Prints minutes of the demo's simulated room as messages that `dormouse replay` plays: `node room.mjs TICKS`. */
import { simulatedRoom } from '../../src/cli/simulation/playback.ts';

const { channels, next } = simulatedRoom(1);
for (let left = Number(process.argv[2]); left > 0; left--) {
  const { timeMs, values } = next()!;
  const known = channels.map((name, i) => [name, Number.isNaN(values[i]) ? null : values[i]]);
  const payload = JSON.stringify({ time: timeMs, ...Object.fromEntries(known) });
  process.stdout.write(`${JSON.stringify({ t: timeMs, topic: 'prove/room', payload })}\n`);
}
