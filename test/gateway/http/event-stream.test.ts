import { EventEmitter } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { EventStream, readersMax } from '../../../src/gateway/http/event-stream.ts';
import { until } from '../fixture.ts';

/** A response of which nobody reads anything. */
class Unread extends EventEmitter {
  writableLength = 0;
  isDestroyed = false;
  writeHead(): void {}
  write(text: string): void {
    this.writableLength += text.length;
  }
  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

const reader = () => new Unread() as Unread & ServerResponse;

describe('EventStream', () => {
  it('lets a reader go that does not keep up; the others stay', () => {
    const events = new EventStream(1000);
    const [slow, quick] = [reader(), reader()];
    events.add(slow);
    events.add(quick);
    for (let i = 0; i < 100; i++) {
      events.send('ticks', 'x'.repeat(50));
      quick.writableLength = 0;
    }
    expect([slow.isDestroyed, quick.isDestroyed, events.dropped, events.readers]).toEqual([
      true,
      false,
      1,
      1,
    ]);
    expect(slow.writableLength).toBeLessThanOrEqual(1000);
  });

  it('has room for so many, and again when one has gone', () => {
    const events = new EventStream();
    const readers = Array.from({ length: readersMax }, reader);
    expect(readers.map((each) => events.add(each))).toEqual(readers.map(() => true));
    expect(events.add(reader())).toBe(false);
    readers[0]!.destroy();
    expect(events.add(reader())).toBe(true);
    events.close();
    expect(events.readers).toBe(0);
  });

  it('is bounded over a real socket that nobody reads', async () => {
    const events = new EventStream(64 * 1024);
    const server = createServer((_, response) => void events.add(response)).listen(0, '127.0.0.1');
    await until(() => server.listening, 'it listens');
    const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => events.readers === 1, 'it is there');
    const text = 'x'.repeat(16 * 1024);
    for (let i = 0; i < 2000 && events.dropped === 0; i++) {
      events.send('ticks', text);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([events.dropped, events.readers]).toEqual([1, 0]);
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
});
