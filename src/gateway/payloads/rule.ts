/** How a channel's value is found in the payloads of a topic. */
import type { JsonPath } from '../json-path.ts';
import type { BinaryType } from './binary.ts';
import type { Conversion } from './units.ts';

/** The whole payload is the value, as text. */
export interface PlainRule {
  readonly kind: 'plain';
}

/** The value is somewhere in a JSON (or CBOR) document. */
export interface PathRule {
  readonly kind: 'path';
  readonly path: JsonPath;
  /** As the config has it, for messages. */
  readonly text: string;
  readonly encoding?: 'cbor';
  /** Messages carry only what changed, so a missing value is no problem. */
  readonly partial?: true;
  /** Where the value's parent is there and the value is not, it is 0. */
  readonly zeroWhenAbsent?: true;
  /** The document may be wrapped into one of these keys. */
  readonly wrappers?: readonly string[];
  /** Where the document tells the value's unit, and the unit that is wanted. */
  readonly unit?: { readonly path: JsonPath; readonly to: string };
  /** The topic where the device's definition is published, and the device's name there. */
  readonly definition?: { readonly topic: string; readonly device: string };
}

/** A field of a line of text. */
export interface CsvRule {
  readonly kind: 'csv';
  /** From 0. */
  readonly column: number;
  readonly separator: string;
}

/** Bytes at a fixed place. */
export interface BinaryRule {
  readonly kind: 'binary';
  readonly type: BinaryType;
  readonly offset: number;
}

/** A metric of a Sparkplug B edge node or device. */
export interface SparkplugRule {
  readonly kind: 'sparkplug';
  readonly group: string;
  readonly edge: string;
  /** Absent: a metric of the node itself. */
  readonly device?: string;
  readonly metric: string;
}

/** Says whether the device is there: gone, its channels are unknown. */
export interface AvailabilityRule {
  readonly kind: 'availability';
}

export type ValueRule = PlainRule | PathRule | CsvRule | BinaryRule | SparkplugRule | AvailabilityRule;

/** One channel of a route. */
export interface ChannelSource {
  /** Index in the model's order. */
  readonly channel: number;
  readonly name: string;
  readonly rule: ValueRule;
  /** To the model's unit. */
  readonly conversion?: Conversion;
  /** What words mean, beside ON, OFF, true and false; by their lower case. */
  readonly states?: ReadonlyMap<string, number>;
}

/** One subscription and what its messages carry. */
export interface Route {
  readonly filter: string;
  readonly channels: readonly ChannelSource[];
  /** Where payloads tell which message they are: one that tells the same as that before is a repetition. */
  readonly identity?: readonly JsonPath[];
}
