import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { Commands } from '../../src/gateway/commands.ts';
import type { OutgoingMessage } from '../../src/gateway/outbox.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { noteLog } from './fixture.ts';

function make(perMinute = 30) {
  const pipeline = new Pipeline(new Engine(tinyModel()), 0, { policy: 'steady' });
  const log = noteLog();
  const clock = { nowMs: 0 };
  const replies: (Record<string, unknown> & { topic: string })[] = [];
  const config = { topicPrefix: 'dormouse/test', output: { topic: 'x' } } as never;
  const part = new Commands({ perMinute }, config, () => pipeline, log, { nowMs: () => clock.nowMs });
  part.onReady(({ topic, payload }: OutgoingMessage) =>
    replies.push({ topic, ...JSON.parse(payload as string) }),
  );
  const send = (name: string, payload: string | object = '', retained = false) => {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    part.onMessage(`dormouse/test/command/${name}`, Buffer.from(text), retained);
    return replies.at(-1);
  };
  return { pipeline, log, clock, replies, part, send };
}

describe('Commands', () => {
  it('listens to its own topics alone', () => {
    expect(make().part.filters).toEqual(['dormouse/test/command/+']);
  });

  it('forces, resumes, changes the policy; each is answered with its id, and logged', () => {
    const { pipeline, send, log } = make();
    expect(send('safe', { id: 'a-1' })).toEqual({
      topic: 'dormouse/test/reply',
      id: 'a-1',
      command: 'safe',
      ok: true,
      override: 'safe',
      policy: 'steady',
    });
    expect(pipeline.override).toBe('safe');
    expect(send('skip')).toMatchObject({ id: null, ok: true, override: 'skip' });
    expect(send('resume')).toMatchObject({ ok: true, override: 'none' });
    expect(pipeline.override).toBe('none');
    expect(send('policy', { policy: 'events' })).toMatchObject({ ok: true, policy: 'events' });
    expect(pipeline.policy.name).toBe('events');
    expect(log.lines).toContain('info: command safe (id a-1): done');
    expect(log.lines).toHaveLength(4);
  });

  it('reset: the next frame is the first', () => {
    const { pipeline, send } = make();
    pipeline.tick({ timeMs: 1, values: new Float64Array([20, 40]) });
    expect(pipeline.output.hasValue).toBe(true);
    expect(send('reset', { id: 'r' })).toMatchObject({ id: 'r', ok: true });
    expect(pipeline.output.hasValue).toBe(false);
  });

  it.each([
    [
      'an unknown one',
      'saef',
      '',
      'expected one of the commands safe, skip, resume, reset, recalibrate, policy, rollback, got saef',
    ],
    ['a key of every object', 'constructor', '', 'expected one of the commands'],
    ['one of a prototype', '__proto__', '', 'expected one of the commands'],
    ['no JSON', 'safe', '{', 'got something that is not JSON'],
    ['a list', 'safe', '[]', 'got a list'],
    ['text', 'safe', '"now"', 'expected nothing or a JSON object'],
    ['too much', 'safe', `{"id":"${'x'.repeat(2000)}"}`, 'expected at most 1024 bytes'],
    ['a bad id', 'safe', { id: 'a b\n' }, 'id: expected 1 to 64 letters'],
    ['an id that is no text', 'safe', { id: 7 }, 'id: expected'],
    ['a calibration of a model that does none', 'recalibrate', '', 'expected a model with a control chart'],
    ['no policy', 'policy', '', 'policy: expected one of steady'],
    ['an unknown policy', 'policy', { policy: 'toString' }, 'got toString'],
    ['a policy that the model does not fit', 'policy', { policy: 'energy', id: 'p' }, 'predicts regret'],
  ])('refuses %s with a clear error, and changes nothing', (_, name, payload, message) => {
    const { pipeline, send, part, log } = make();
    const reply = send(name, payload);
    expect(reply).toMatchObject({ ok: false, override: 'none', policy: 'steady' });
    expect(reply!.error).toContain(message);
    expect(pipeline.override).toBe('none');
    expect(part.counters().commands).toEqual({ done: 0, refused: 1, ignored: 0 });
    expect(log.lines.every((line) => line.startsWith('warning: ') && !line.includes('\n'))).toBe(true);
  });

  it('echoes the id with an error too', () => {
    expect(make().send('policy', { id: 'p', policy: 'energy' })).toMatchObject({ id: 'p', ok: false });
  });

  it('ignores retained ones: they would come again at every start', () => {
    const { pipeline, send, replies, part } = make();
    send('skip', '', true);
    expect([pipeline.override, replies, part.counters().commands.ignored]).toEqual(['none', [], 1]);
  });

  it('is bounded: so many a minute, and the log is not flooded', () => {
    const { send, replies, log, clock, part } = make(3);
    for (let i = 0; i < 100; i++) send('safe');
    expect(replies).toHaveLength(3);
    expect(part.counters().commands).toEqual({ done: 3, refused: 0, ignored: 97 });
    expect(log.lines.length).toBe(13);
    clock.nowMs = 60_000;
    expect(send('resume')).toMatchObject({ override: 'none' });
  });
});
