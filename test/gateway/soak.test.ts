/**
 * The short form of a long run: `DORMOUSE_SOAK_MESSAGES=1000000 DORMOUSE_SOAK_FAULTS=20 npx vitest run
 * test/gateway/soak.test.ts` is the long one, and prints what it found.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { resultOf } from '../../src/gateway/results.ts';
import { buildProgram } from '../cli/gateway-program.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { Fixture, type Result } from './fixture.ts';
import { findMosquitto, Mosquitto } from './mosquitto.ts';
import { soak, timeOf, valuesOf } from './soak.ts';

const mosquitto = findMosquitto();
const messages = Number(process.env.DORMOUSE_SOAK_MESSAGES ?? 2000);
const faults = Number(process.env.DORMOUSE_SOAK_FAULTS ?? 2);
const isLong = messages > 20_000;
const tail = 200;
const fixture = new Fixture();
afterAll(() => fixture.remove());

/** Its tiers do not depend on how many tokens came since the last start. */
const policy = 'steady';

/** The last results of a pipeline that nothing ever disturbed. */
function undisturbedTail(): Result[] {
  const pipeline = new Pipeline(new Engine(fixture.model, { streams: 1 }), 0, { policy });
  const results: Result[] = [];
  for (let index = 0; index < messages; index++) {
    const witness = pipeline.tick({ timeMs: timeOf(index), values: Float64Array.from(valuesOf(index)) });
    if (index >= messages - tail)
      results.push(resultOf(witness, pipeline.output, fixture.model.meaning) as Result);
  }
  return results;
}

/** What it acknowledged it sends on at once: what still waits in a broker that is killed is lost, whoever its clients. */
const access = () => ['allow_anonymous true', 'max_inflight_messages 0'];

/** Ticks are counted since the start of the process. */
const withoutSequence = ({ sequence: _, ...result }: Result) => result;

describe.skipIf(mosquitto === undefined)('broker and gateway are killed again and again', () => {
  test.each([
    ['in memory alone', { policy }],
    ['with storage', { policy, storage: { directory: 'state' } }],
  ] as [string, Record<string, unknown>][])(
    `nothing acknowledged is lost, and the end is as if nothing had been (${messages} messages, ${faults} faults, %s)`,
    async (_, overrides) => {
      const program = await buildProgram(fixture.directory);
      const broker = await Mosquitto.start(mosquitto!, { persistent: 'eachSecond', access });
      try {
        const random = randomNumbers(7);
        const options = { fixture, program, broker, messages, faults, tail, overrides, random };
        const { tail: results, ...report } = await soak(options);
        if (isLong) console.log(report);
        expect(report).toMatchObject({ lost: 0, messages });
        expect(results.map(withoutSequence)).toEqual(undisturbedTail().map(withoutSequence));
        if (messages >= 500_000) expect(report.rssBytes.late - report.rssBytes.early).toBeLessThan(5_000_000);
      } finally {
        await broker.remove();
      }
    },
    isLong ? 3_600_000 : 60_000,
  );
});
