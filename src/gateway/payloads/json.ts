/** JSON documents without a convention, and payloads that are nothing but a value. */

import { nearestName } from '../../text/nearest.ts';
import { describe } from '../config/checker.ts';
import { parseValuePath } from '../json-path.ts';
import { type BindRequest, type Preset, topicOf } from './preset.ts';
import type { ValueRule } from './rule.ts';

/** `value` is a path (`$.a.b` or `a.b`), `plain`, or left out: then the channel's name is the key. */
export const json: Preset = {
  keys: [],
  bind: (request) => [{ filter: topicOf(request), rule: ruleOf(request) }],
};

function ruleOf({ value, channel, section }: BindRequest): ValueRule {
  if (value === 'plain') return { kind: 'plain' };
  if (value === undefined) return { kind: 'path', path: [channel], text: `the key ${channel}` };
  const path = parseValuePath(value);
  if (path?.length === 1 && nearestName(value, ['plain']) !== undefined)
    section.problems.hint(
      [...section.path, 'value'],
      `${describe(value)} is taken for a key of a document; 'plain' would be the whole payload`,
    );
  if (path === undefined)
    section.add('value', "a path such as $.a.b, $['a b'] or $.a[0], or 'plain'", describe(value));
  return { kind: 'path', path: path ?? [], text: value };
}
