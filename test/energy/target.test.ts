import { describe, expect, it } from 'vitest';
import { detectTarget, findTarget, parseTarget, TargetError, targets } from '../../src/energy/target.ts';

const good = structuredClone(targets.pi4) as unknown as Record<string, unknown>;

describe('targets', () => {
  it('holds the five devices', () => {
    expect(Object.keys(targets).sort()).toEqual(['pi3', 'pi4', 'pi5', 'x64', 'zero2w']);
  });

  it.each(Object.values(targets))(
    '$name names the source of its watts and draws more when busy',
    ({ watts }) => {
      expect(watts.source.length).toBeGreaterThan(20);
      expect(watts.allCores).toBeGreaterThan(watts.idle);
    },
  );

  it('names the known targets when asked for another', () => {
    expect(() => findTarget('pi9')).toThrow(/expected one of pi5, pi4, pi3, zero2w, x64, got 'pi9'/);
    expect(() => findTarget('toString')).toThrow(TargetError);
  });

  it.each([
    ['Raspberry Pi 5 Model B Rev 1.0', 'pi5'],
    ['Raspberry Pi 4 Model B Rev 1.5', 'pi4'],
    ['Raspberry Pi Compute Module 4 Rev 1.1', 'pi4'],
    ['Raspberry Pi 3 Model B Plus Rev 1.3', 'pi3'],
    ['Raspberry Pi Zero 2 W Rev 1.0', 'zero2w'],
    ['Radxa ROCK 5B', 'x64'],
    [null, 'x64'],
  ])('takes a board that says %j for %s', (model, name) => {
    expect(detectTarget(model).name).toBe(name);
  });
});

describe('parseTarget', () => {
  it('returns what it was given', () => {
    expect(parseTarget(good, 'target')).toEqual(good);
  });

  it.each<[string, object, RegExp]>([
    ['a missing name', { name: undefined }, /^target\.name: expected a text, got nothing$/],
    ['cores as text', { cpu: { ...(good.cpu as object), cores: '4' } }, /^target\.cpu\.cores: .* got "4"$/],
    ['half a core', { cpu: { ...(good.cpu as object), cores: 0.5 } }, /whole number/],
    [
      'a foreign kernel',
      { kernels: ['cuda'] },
      /^target\.kernels\[0\]: expected one of relaxed, exact, truth/,
    ],
    ['busy below idle', { watts: { ...(good.watts as object), allCores: 1 } }, /^target\.watts\.allCores/],
    [
      'a range that leaves its value out',
      { watts: { ...(good.watts as object), idleRange: [3.1, 4] } },
      /^target\.watts\.idleRange\[0\]: expected a number from 0 to 3, got 3\.1$/,
    ],
    ['no source', { watts: { ...(good.watts as object), source: '' } }, /^target\.watts\.source/],
    ['no memory', { memoryBudgetBytes: 0 }, /^target\.memoryBudgetBytes/],
    ['watts as a list', { watts: [1, 2] }, /^target\.watts: expected an object/],
  ])('refuses %s', (_, change, message) => {
    expect(() => parseTarget({ ...good, ...change }, 'target')).toThrow(message);
    expect(() => parseTarget({ ...good, ...change }, 'target')).toThrow(TargetError);
  });
});
