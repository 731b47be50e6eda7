/** The subset of JSONPath that names one value: `$`, `.name`, `['name']`, `[0]`. */

/** Keys and indices from the root to the value. */
export type JsonPath = readonly (string | number)[];

const step = /\.([A-Za-z_][\w-]*)|\[(\d{1,6})\]|\['([^']+)'\]|\["([^"]+)"\]/y;

/** Parses a path; undefined when it is not in the subset. */
export function parseJsonPath(text: string): JsonPath | undefined {
  return text.startsWith('$') ? parseSteps(text, 1, step, []) : undefined;
}

function parseSteps(
  text: string,
  from: number,
  pattern: RegExp,
  path: (string | number)[],
): JsonPath | undefined {
  let at = from;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    path.push(match[2] === undefined ? (match[1] ?? match[3] ?? match[4])! : Number(match[2]));
    at = pattern.lastIndex;
  }
  return path;
}

const relativeStart = /[^.[\]$'"\0]{1,256}/y;
const relativeStep = /\.([^.[\]$'"\0]{1,256})|\[(\d{1,6})\]|\['([^']+)'\]|\["([^"]+)"\]/y;

/** A path from the root, with or without `$.`: `ENERGY.Power`, `switch:0.apower`, `Current[1]`; undefined for no path. */
export function parseValuePath(text: string): JsonPath | undefined {
  if (text.startsWith('$')) return parseJsonPath(text);
  relativeStart.lastIndex = 0;
  const start = relativeStart.exec(text);
  return start === null ? undefined : parseSteps(text, start[0].length, relativeStep, [start[0]]);
}

/** The value at `path`, undefined when it is not there. Own properties only: a prototype never answers. */
export function valueAt(root: unknown, path: JsonPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}
