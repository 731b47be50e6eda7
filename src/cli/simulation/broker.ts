/** An MQTT broker inside this process, on loopback: real packets over real sockets, nothing to install. */
import { createServer, type Socket } from 'node:net';
import { Aedes } from 'aedes';

export interface LocalBroker {
  /** Such as `mqtt://127.0.0.1:40123`. */
  readonly url: string;
  /** Cuts every connection and frees the port. */
  close(): Promise<void>;
}

/** Listens on 127.0.0.1 at a free port, or at `port`. Rejects with what the system says. */
export async function startBroker(port = 0): Promise<LocalBroker> {
  const broker = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address() as { port: number };
  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    async close() {
      await new Promise<void>((resolve) => broker.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
