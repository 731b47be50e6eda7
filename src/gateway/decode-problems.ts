/** Everything that can be wrong with a payload. */
export const decodeProblems = [
  /** Not JSON at all, where JSON was expected. */
  'notJson',
  /** Not CBOR at all, or with tags that are not known here. */
  'notCbor',
  /** Not a Sparkplug B payload. */
  'notSparkplug',
  /** More bytes than `limits.payloadBytes`. */
  'tooLarge',
  /** JSON or CBOR nested deeper than `limits.jsonDepth`. */
  'tooDeep',
  /** Binary: the value would lie behind the end. */
  'tooShort',
  /** The channel's key, path or column is not there: its last value stays. */
  'missingKey',
  /** JSON null, an empty field, a Sparkplug metric that is null: the channel becomes unknown. */
  'null',
  /** NaN or an infinity: the channel becomes unknown. */
  'notANumber',
  /** Beyond what the sensor says of its range: the channel becomes unknown. */
  'outOfRange',
  /** The device is gone: its channels become unknown. */
  'offline',
  /** Text that is no number, a list, an object: the last value stays. */
  'wrongType',
  /** A timestamp is configured and this one is missing or no time: the message is dropped. */
  'badTime',
  /** The same message as the one before on its topic, by what it says of itself: dropped. */
  'repeated',
  /** Sparkplug: messages are missing before this one. */
  'sequenceGap',
  /** Sparkplug: a metric by its alias, of a node whose birth is not known: left out. */
  'noBirth',
  /** Sparkplug: told late, so that it says nothing about now: left out. */
  'historical',
] as const;
export type DecodeProblem = (typeof decodeProblems)[number];
