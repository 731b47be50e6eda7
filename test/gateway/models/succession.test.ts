import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { saveModel } from '../../../src/engine/model-file.ts';
import { sha256Of } from '../../../src/gateway/models/signature.ts';
import type { Pipeline } from '../../../src/gateway/pipeline.ts';
import { tinyModel } from '../../engine/tiny-model.ts';
import { offered, Stage, stranger, twin } from './stage.ts';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.stop();
  stage.remove();
});

const first = sha256Of(saveModel(tinyModel()));

function modelsOfResults(): string[] {
  return [...new Set(stage.results.map(({ model }) => model as string))];
}

/** Lets a pipeline throw at its next tick, as a bug would. */
function breakNextTick(pipeline: Pipeline): void {
  pipeline.tick = () => {
    throw new Error('assertion failed: made to fail');
  };
}

describe('a model that is put into the file', () => {
  test('computes beside the old one, takes over, is watched and confirmed; each tick is answered once', async () => {
    await stage.start();
    await stage.ticks(10);
    const next = offered(twin());
    const sha256 = sha256Of(next.bytes);
    stage.source.put(next);
    await stage.ticks(12);
    expect(stage.status).toMatchObject({ phase: 'canary', candidate: sha256, current: first });
    await stage.ticks(20);
    expect(stage.status).toMatchObject({ phase: 'watch', current: sha256, previous: first });
    await stage.ticks(30);
    expect(stage.status).toMatchObject({ phase: 'idle', current: sha256, candidate: null });
    expect(stage.status.last).toMatchObject({ sha256, outcome: 'confirmed' });
    expect(stage.unanswered()).toEqual([]);
    expect(modelsOfResults()).toEqual([first.slice(0, 6), sha256.slice(0, 6)]);
    expect(stage.gateway.pipeline.counters.frames).toBe(stage.sent);
    expect(stage.part.counters().models).toMatchObject({ promoted: 1, confirmed: 1, refusals: {} });
    expect(stage.broker.retained.get('dormouse/test/models')?.payload.toString()).toContain(sha256);
  });

  test('goes on where the old one stood: with a twin that takes over, and back, everything is said as if nothing had happened', async () => {
    const undisturbed = new Stage();
    await undisturbed.start({ pollS: 0 });
    await stage.start();
    for (const each of [stage, undisturbed]) await each.ticks(10);
    stage.source.put(offered(twin()));
    for (const each of [stage, undisturbed]) await each.ticks(60);
    await stage.command('rollback');
    for (const each of [stage, undisturbed]) await each.ticks(20);
    expect(stage.results.map(({ model }) => model).join()).toMatch(/^(\w{6},)\1+(\w{6},)\2+(\1)+\w{6}$/);
    const said = (of: Stage) => of.results.map(({ model: _, ...rest }) => rest);
    expect(said(stage)).toEqual(said(undisturbed));
    await undisturbed.stop();
    undisturbed.remove();
  });

  test('that answers otherwise is refused, and not looked at again', async () => {
    await stage.start();
    stage.source.put(offered(stranger()));
    await stage.ticks(60);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first, previous: null });
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'canary' });
    expect(stage.status.last?.reason).toMatch(/^agreement: expected at 90 % of 20 ticks at least, got/);
    await stage.ticks(60);
    expect(stage.part.counters().models).toMatchObject({ promoted: 0, refusals: { canary: 1 } });
    expect(modelsOfResults()).toEqual([first.slice(0, 6)]);
    await stage.stop();
    await stage.start();
    await stage.ticks(30);
    expect(stage.part.counters().models).toMatchObject({ refusals: {} });
  });

  test.each([
    ['without a signature', offered(twin(), false), 'unsigned', 'expected a signature, got none'],
    [
      "with another's signature",
      { ...offered(twin()), signature: offered(stranger()).signature },
      'signature',
      'by the key of models.publicKeyFile, got another',
    ],
    [
      'with nonsense for a signature',
      { ...offered(twin()), signature: 'x'.repeat(88) },
      'signature',
      'got another',
    ],
    ['that is no model', offered(Buffer.from('no model')), 'foreign', ''],
    ['of other channels', offered(saveModel(tinyModel({ channels: ['temperature', 'co2'] }))), 'shape', ''],
    [
      'of channels in another order',
      offered(saveModel(tinyModel({ channels: ['humidity', 'temperature'] }))),
      'shape',
      'channels: expected temperature, humidity, got humidity, temperature',
    ],
    [
      'of other classes',
      offered(saveModel(tinyModel({ meaning: { task: { kind: 'classify', classes: ['empty', 'full'] } } }))),
      'shape',
      'task: expected classify empty, occupied, got classify empty, full',
    ],
    [
      'of another interval',
      offered(saveModel(tinyModel({ meaning: { intervalMs: 60_000 } }))),
      'shape',
      'interval: expected 1000 ms, got 60000 ms',
    ],
  ])('%s is refused', async (_, model, code, reason) => {
    await stage.start();
    stage.source.put(model);
    await stage.ticks(15);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first });
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code });
    expect(stage.status.last!.reason).toContain(reason);
    expect(stage.part.counters().models).toMatchObject({ refusals: { [code]: 1 } });
    expect(stage.unanswered()).toEqual([]);
  });

  test('computes beside the old one until that has said both classes', async () => {
    await stage.start({ canary: { ticks: 20, tokens: 2, answers: 2 } });
    stage.source.put(offered(twin()));
    await stage.ticks(12);
    let said = 0;
    const { beside } = stage.gateway.trial as unknown as { beside: { pipeline: Pipeline } };
    for (const pipeline of [stage.gateway.pipeline, beside.pipeline]) {
      const tick = pipeline.tick.bind(pipeline);
      pipeline.tick = (frame) => {
        const witness = tick(frame);
        pipeline.output.classIndex = said;
        return witness;
      };
    }
    await stage.ticks(100);
    expect(stage.status.phase).toBe('canary');
    said = 1;
    await stage.ticks(25);
    expect(stage.status.phase).toBe('watch');
  });

  test('that throws beside the old one is refused', async () => {
    await stage.start();
    stage.source.put(offered(twin()));
    await stage.ticks(12);
    breakNextTick((stage.gateway.trial as unknown as { beside: { pipeline: Pipeline } }).beside.pipeline);
    await stage.ticks(5);
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'failed' });
    expect(stage.unanswered()).toEqual([]);
  });

  test('that throws when it has taken over gives way at that very tick', async () => {
    await stage.start();
    await stage.ticks(10);
    stage.source.put(offered(twin()));
    await stage.ticks(40);
    expect(stage.status.phase).toBe('watch');
    const done = stage.gateway.pipeline.counters.frames;
    breakNextTick(stage.gateway.pipeline);
    await stage.ticks(5);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first, previous: null });
    expect(stage.status.last).toMatchObject({ outcome: 'rolledBack', code: 'failed' });
    expect(stage.results[done]).toMatchObject({ sequence: done, model: first.slice(0, 6) });
    expect(stage.unanswered()).toEqual([]);
    await stage.stop();
    await stage.start();
    expect(stage.status).toMatchObject({ phase: 'idle', current: first });
  });
});

describe('after the takeover', () => {
  /** A twin that has taken over, under a long watch. */
  async function watched(): Promise<string> {
    await stage.start({ watch: { ticks: 100_000 } });
    const next = offered(twin());
    stage.source.put(next);
    await stage.ticks(45);
    expect(stage.status.phase).toBe('watch');
    return sha256Of(next.bytes);
  }

  test('a model that comes to answer otherwise is taken back', async () => {
    await watched();
    const { output } = stage.gateway.pipeline;
    const tick = stage.gateway.pipeline.tick.bind(stage.gateway.pipeline);
    stage.gateway.pipeline.tick = (frame) => {
      const witness = tick(frame);
      output.classIndex = 1 - output.classIndex;
      return witness;
    };
    await stage.ticks(300);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first });
    expect(stage.status.last).toMatchObject({ outcome: 'rolledBack', code: 'canary' });
    expect(stage.status.last?.reason).toContain('agreement: expected at 90 % of 256 ticks');
    expect(stage.unanswered()).toEqual([]);
  });

  test('a command takes it back; the old one has seen everything', async () => {
    await watched();
    expect(await stage.command('rollback')).toMatchObject({ command: 'rollback', ok: true });
    await stage.ticks(10);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first, previous: null });
    expect(stage.results.at(-1)).toMatchObject({ model: first.slice(0, 6) });
    expect(stage.unanswered()).toEqual([]);
  });

  test('killed, it is watched on after the start; killed too often, the old one is back', async () => {
    const sha256 = await watched();
    for (let start = 1; start <= 3; start++) {
      stage.kill(start % 2 === 0);
      await stage.start({ watch: { ticks: 100_000 } });
      expect(stage.status).toMatchObject({ phase: 'watch', current: sha256, previous: first });
    }
    stage.kill();
    await stage.start({ watch: { ticks: 100_000 } });
    expect(stage.status).toMatchObject({ phase: 'idle', current: first, previous: null });
    expect(stage.log.lines.join('\n')).toContain('had to be started 4 times while it was watched');
  });

  test('stopped in order, however often, it is watched on', async () => {
    const sha256 = await watched();
    for (let start = 1; start <= 6; start++) {
      await stage.stop();
      await stage.start({ watch: { ticks: 100_000 } });
      expect(stage.status).toMatchObject({ phase: 'watch', current: sha256 });
    }
  });
});

describe('rollback by command', () => {
  test('long after the takeover: the two change places, and again', async () => {
    await stage.start();
    const next = offered(twin());
    const sha256 = sha256Of(next.bytes);
    stage.source.put(next);
    await stage.ticks(80);
    expect(stage.status).toMatchObject({ phase: 'idle', current: sha256, previous: first });
    expect(await stage.command('rollback')).toMatchObject({ ok: true });
    await stage.ticks(3);
    expect(stage.status).toMatchObject({ phase: 'idle', current: first, previous: sha256 });
    await stage.stop();
    await stage.start();
    await stage.ticks(3);
    expect(stage.status).toMatchObject({ current: first, previous: sha256 });
    await stage.command('rollback');
    await stage.ticks(3);
    expect(stage.status).toMatchObject({ current: sha256, previous: first });
  });

  test('with nothing to go back to it is refused', async () => {
    await stage.start();
    expect(await stage.command('rollback')).toMatchObject({
      ok: false,
      error: 'expected a model that worked before, got none',
    });
  });

  test('gives up a model that computes beside the old one', async () => {
    await stage.start();
    stage.source.put(offered(twin()));
    await stage.ticks(12);
    await stage.command('rollback');
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'withdrawn' });
    expect(stage.status.phase).toBe('idle');
  });
});

describe('what a person has set', () => {
  test('holds for the model that takes over: override and policy', async () => {
    await stage.start();
    await stage.command('safe');
    stage.broker.publish('dormouse/test/command/policy', Buffer.from('{"policy":"events"}'));
    stage.source.put(offered(twin()));
    await stage.ticks(80);
    expect(stage.status.previous).toBe(first);
    expect(stage.gateway.pipeline.override).toBe('safe');
    expect(stage.gateway.pipeline.policy.name).toBe('events');
  });
});

describe('at the start', () => {
  test('without a signature that is required, and no stored model, it does not run', async () => {
    stage.source.put({ ...stage.source.content, signature: null });
    await expect(stage.start()).rejects.toThrow('expected a signature, got none');
    stage.source.put(offered(saveModel(tinyModel())));
    await stage.start();
    expect(stage.status.current).toBe(first);
  });

  test('a file that has lost its signature is passed over for the stored model', async () => {
    await stage.start();
    await stage.stop();
    stage.source.put({ ...stage.source.content, signature: null });
    await stage.start();
    await stage.ticks(3);
    expect(stage.status.current).toBe(first);
    expect(stage.unanswered()).toEqual([]);
  });

  test('a new file is tried beside the stored model', async () => {
    await stage.start();
    await stage.ticks(3);
    await stage.stop();
    const next = offered(twin());
    stage.source.put(next);
    await stage.start();
    await stage.ticks(3);
    expect(stage.status).toMatchObject({ phase: 'canary', current: first, candidate: sha256Of(next.bytes) });
  });

  test('killed beside the old one, a model is tried again', async () => {
    await stage.start({ canary: { ticks: 100_000 } });
    const next = offered(twin());
    await stage.upload(next);
    await stage.ticks(10);
    expect(stage.status.phase).toBe('canary');
    stage.kill(true);
    await stage.start({ canary: { ticks: 100_000 } });
    await stage.ticks(3);
    expect(stage.status).toMatchObject({ phase: 'canary', current: first, candidate: sha256Of(next.bytes) });
  });

  test('a disk that refuses keeps nothing from its work, and no model is taken on', async () => {
    stage.disk.failure = 'EIO';
    await stage.start();
    stage.source.put(offered(twin()));
    await stage.ticks(20);
    expect(stage.unanswered()).toEqual([]);
    expect(stage.status.last).toMatchObject({ outcome: 'refused', code: 'disk' });
    stage.disk.failure = undefined;
  });
});
