import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { meterParts, openLedger } from '../../src/cli/open-ledger.ts';
import { PlugMeter } from '../../src/energy/plug.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { GatewayConfig } from '../../src/gateway/config/config.ts';
import { Fixture } from '../gateway/fixture.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());
const engine = new Engine(fixture.model);

function open(name: string, calibration?: string) {
  const directory = fixture.path(name);
  if (calibration !== undefined) {
    mkdirSync(directory);
    writeFileSync(join(directory, 'calibration.json'), calibration);
  }
  const ledger = { directory, target: 'pi4', intervalMs: 60_000, flushMs: 600_000, meter: 'hwmon' };
  const config = { topicPrefix: 'd', output: { topic: 'd/state' }, ledger } as unknown as GatewayConfig;
  const said: string[] = [];
  const note = (level: string) => (text: string) => void said.push(`${level}: ${text}`);
  const log = { info: note('info'), warning: note('warning'), error: note('error') };
  const choice = { meter: undefined, passedOver: ['hwmon: it fell off'] };
  return { part: openLedger(config, choice, engine, log as never), said };
}

describe('openLedger', () => {
  it('says which source counts, and warns when it is not the one that was asked for', () => {
    const { said } = open('asked');
    expect(said).toEqual([
      'warning: ledger: joules from model, the published watt model, 3 W + 0.75 W a busy core; not hwmon: it fell off',
    ]);
  });

  it('takes the calibration of this board for the watts of the target', () => {
    const { said } = open(
      'calibrated',
      JSON.stringify({
        version: 1,
        source: 'hwmon',
        idleWatts: 2.6,
        coreWatts: 0.9,
        idleErrorWatts: 0.01,
        coreErrorWatts: 0.02,
        clockMHz: 1800,
      }),
    );
    expect(said[0]).toContain('the calibrated watt model, 2.6 W + 0.9 W a busy core');
  });

  it('goes on without a calibration that is damaged, and says so', () => {
    const { said } = open('damaged', '{"version":1,');
    expect(said[0]).toMatch(
      /^warning: .*calibration\.json: expected a calibration in JSON.*; the target's watts stand in$/,
    );
    expect(said[1]).toContain('published');
  });
});

describe('meterParts', () => {
  it('hears a plug, and nothing for the others', () => {
    const meter = new PlugMeter('tasmota', 'tele/plug/SENSOR');
    expect(meterParts({ meter, passedOver: [] }).map(({ filters }) => filters)).toEqual([
      ['tele/plug/SENSOR'],
    ]);
    expect(meterParts({ meter: undefined, passedOver: [] })).toEqual([]);
  });
});
