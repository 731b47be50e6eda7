/** Every value of a document, by its path; bounded, whatever the document is. */
import type { JsonPath } from '../json-path.ts';
import { numberOfText } from './value.ts';

const fieldsMax = 64;
const depthMax = 6;
const itemsMax = 8;
const nameMax = 128;

export type Scalar = number | boolean | string | null;

/** Calls `visit` for each scalar, at most 64 of them, no deeper than 6 levels, of lists the first 8. */
export function flatten(document: unknown, visit: (path: JsonPath, value: Scalar) => void): void {
  let left = fieldsMax;
  const walk = (value: unknown, path: JsonPath): void => {
    if (left === 0 || path.length > depthMax) return;
    if (Array.isArray(value)) {
      for (const [index, item] of value.slice(0, itemsMax).entries()) walk(item, [...path, index]);
    } else if (typeof value === 'object' && value !== null) {
      for (const key of Object.keys(value)) {
        if (key.length <= nameMax && key !== '')
          walk((value as Record<string, unknown>)[key], [...path, key]);
      }
    } else if (value !== undefined) {
      left--;
      visit(path, typeof value === 'bigint' ? Number(value) : (value as Scalar));
    }
  };
  walk(document, []);
}

/** A path as the config has it, without a leading `$.`; undefined when it can't be written. */
export function pathText(path: JsonPath): string | undefined {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[^.[\]$'"\p{Cc}]{1,128}$/u.test(step)) text += text === '' ? step : `.${step}`;
    else if (!/['\p{Cc}]/u.test(step)) text = `${text === '' ? '$' : text}['${step}']`;
    else return undefined;
  }
  return text === '' || text.startsWith('[') ? `$${text}` : text;
}

/** What a scalar is as a reading: a number, NaN where the sender does not know, undefined for any other text. */
export function numberOfScalar(value: Scalar): number | undefined {
  if (value === null) return Number.NaN;
  if (typeof value === 'string') return value.length > 64 ? undefined : numberOfText(value.trim());
  return Number(value);
}
