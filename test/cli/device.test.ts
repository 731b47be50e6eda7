import { describe, expect, test } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { engineLimits, makeGateway, targetMismatch } from '../../src/cli/device.ts';
import { findTarget } from '../../src/energy/target.ts';
import { presetConfig } from '../../src/engine/config.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Fixture } from '../gateway/fixture.ts';

const log = { info: () => {}, warning: () => {}, error: () => {} };
const url = 'mqtt://127.0.0.1:1';

describe('a config with a target', () => {
  const fixture = new Fixture();

  test('gives the engine what the device allows', () => {
    const loaded = loadGatewayConfig(fixture.writeConfig(url, { target: 'zero2w' }));
    const { engine } = makeGateway(loaded, { log });
    expect(findTarget('zero2w').kernels).toContain(engine.kernel);
  });

  test('is refused in one sentence when its model does not fit', () => {
    const loaded = loadGatewayConfig(fixture.writeConfig(url, { target: 'zero2w' }));
    const long = { ...presetConfig('micro', 24, 2), sequence: 131_072 };
    const model = { ...randomModel({ seed: 1, config: long }), meaning: loaded.model.meaning };
    expect(() => makeGateway({ ...loaded, model }, { log })).toThrow(
      /^target zero2w \(Raspberry Pi Zero 2 W\): memory: expected at most 16777216 bytes, this engine needs \d+$/,
    );
  });

  test('lends its target to the ledger', () => {
    const ledger = { directory: 'ledger' };
    const { config } = loadGatewayConfig(fixture.writeConfig(url, { target: 'pi4', ledger }));
    expect(config.ledger?.target).toBe('pi4');
  });
});

test('a device carries only so many streams', () => {
  const target = findTarget('zero2w');
  expect(engineLimits(target, target.streams)).toMatchObject({ maxBytes: target.memoryBudgetBytes });
  expect(() => engineLimits(target, target.streams + 1)).toThrow('expected at most 2 streams, got 3');
});

test('a target of another architecture is odd, none at all is not', () => {
  expect(targetMismatch('pi5', 'x64')).toContain('is arm64, this machine is x64');
  expect([targetMismatch('pi5', 'arm64'), targetMismatch(undefined)]).toEqual([undefined, undefined]);
});
