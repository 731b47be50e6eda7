import { writeFileSync } from 'node:fs';
/**
 * Whole lives of a gateway by seeds. `DORMOUSE_SIM_SEEDS=10000 npx vitest run test/sim/sim.test.ts` is the long form;
 * `DORMOUSE_SIM_SEED=1234` replays one and prints what happened.
 */
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Inbox } from '../../src/gateway/inbox.ts';
import { Comparison } from '../../src/gateway/models/comparison.ts';
import { ModelStore } from '../../src/gateway/models/model-store.ts';
import { Fixture } from '../gateway/fixture.ts';
import { modelKeys } from './models.ts';
import { live } from './world.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());
afterEach(() => vi.restoreAllMocks());

const seeds = Number(process.env.DORMOUSE_SIM_SEEDS ?? 12);
const oneSeed = process.env.DORMOUSE_SIM_SEED;

const trial = { ticks: 30, tokens: 3, answers: 0 };
const models = {
  directory: 'models',
  publicKeyFile: 'key.pub.pem',
  upload: true,
  canary: trial,
  watch: trial,
};
writeFileSync(fixture.path('key.pub.pem'), modelKeys.publicKey);

/** What a seed has, besides faults: a disk or none, much or little room, models that come and go. */
function worldOf(seed: number) {
  const isStored = seed % 3 !== 0;
  const storage = {
    directory: 'state',
    commitMs: 500,
    outboxFlushS: 5,
    intakeBytes: 200_000,
    outboxBytes: 200_000,
  };
  const path = fixture.writeConfig('mqtt://simulated', {
    mqtt: { reconnectMinMs: 100, reconnectMaxMs: 10_000 },
    limits: { ringMessages: seed % 2 === 0 ? 64 : 1024, inFlight: 4, outboxMessages: 2000 },
    source: { topic: 'room/+', object: true },
    ...(isStored ? { storage } : {}),
    ...(seed % 3 === 1 ? { models } : {}),
  });
  return {
    seed,
    loaded: loadGatewayConfig(path),
    hours: 1,
    intervalMs: 5000,
    faultsPerHour: 25,
    kills: seed % 4 !== 0,
    retained: seed % 25 === 0 ? 5000 : 10,
  };
}

async function problemsOf(seed: number, diskLies = false): Promise<string[]> {
  const report = await live({ ...worldOf(seed), diskLies });
  if (oneSeed !== undefined) console.log(report);
  return report.problems.map((problem) => `seed ${seed}: ${problem}`);
}

test(`whatever fails, nothing acknowledged is lost and everything ends well (${seeds} seeds)`, async () => {
  const chosen =
    oneSeed === undefined ? Array.from({ length: seeds }, (_, seed) => seed + 1) : [Number(oneSeed)];
  for (const seed of chosen) expect(await problemsOf(seed)).toEqual([]);
}, 3_600_000);

test('a gateway that acknowledges at once is caught', async () => {
  const receive = Inbox.prototype.receive;
  vi.spyOn(Inbox.prototype, 'receive').mockImplementation(function (this: Inbox, ...message) {
    message[4]();
    return receive.call(this, message[0], message[1], message[2], message[3], () => {});
  });
  const found: string[] = [];
  for (let seed = 1; seed <= 40 && found.length === 0; seed++) found.push(...(await problemsOf(seed)));
  expect(found.join()).toContain('acknowledged and lost');
}, 60_000);

test('a disk that only says that it syncs is caught', async () => {
  const found: string[] = [];
  for (let seed = 1; seed <= 60 && found.length === 0; seed++) found.push(...(await problemsOf(seed, true)));
  expect(found.join()).toContain('acknowledged and lost');
}, 60_000);

describe('models that are exchanged in the middle of it all', () => {
  /** What the first seeds with models find, up to the first that finds something. */
  async function found(): Promise<string> {
    const problems: string[] = [];
    for (let seed = 1; seed <= 60 && problems.length === 0; seed += 3)
      problems.push(...(await problemsOf(seed)));
    return problems.join();
  }

  test('take over in some of these lives, or they would prove nothing', async () => {
    let promotions = 0;
    for (let seed = 1; seed <= 60 && promotions === 0; seed += 3)
      promotions += (await live(worldOf(seed))).promotions;
    expect(promotions).toBeGreaterThan(0);
  });

  test('a store that notes nothing is caught', async () => {
    vi.spyOn(ModelStore.prototype, 'commit').mockResolvedValue();
    expect(await found()).toMatch(
      /started with \w+, but \w+ was settled|at work after the start|does not start/,
    );
  }, 60_000);

  test('a canary that accepts anything is caught', async () => {
    vi.spyOn(Comparison.prototype, 'problem').mockReturnValue(undefined);
    expect(await found()).toMatch(/a tick was answered by/);
  }, 60_000);
});
