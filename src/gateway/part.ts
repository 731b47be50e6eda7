/** Something that lives beside the tick: hears its own topics, sees every tick, publishes, and is told of the end. */
import type { Json } from '../engine/model.ts';
import type { Frame } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { Output } from './output.ts';

export interface GatewayPart {
  /** Topics that it wants to hear beside those of the channels. */
  readonly filters?: readonly string[];
  /** A message on one of its topics; must not keep the payload, and never throws. */
  onMessage?(topic: string, payload: Uint8Array, retained: boolean): void;
  /** Connected and subscribed, each time; `publish` is the gateway's outbox. */
  onReady?(publish: (message: OutgoingMessage) => void): void;
  /** A tick is over; what it is given is reused. */
  onTick?(witness: Witness, output: Output, frame: Frame): void;
  /** For the gateway's counters. */
  counters?(): { readonly [name: string]: Json };
  stop?(): Promise<void>;
}
