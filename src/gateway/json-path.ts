/** The subset of JSONPath that names one value: `$`, `.name`, `['name']`, `[0]`. */

/** Keys and indices from the root to the value. */
export type JsonPath = readonly (string | number)[];

const step = /\.([A-Za-z_][\w-]*)|\[(\d{1,6})\]|\['([^']+)'\]|\["([^"]+)"\]/y;

/** Parses a path; undefined when it is not in the subset. */
export function parseJsonPath(text: string): JsonPath | undefined {
  if (!text.startsWith('$')) return undefined;
  const path: (string | number)[] = [];
  let at = 1;
  while (at < text.length) {
    step.lastIndex = at;
    const match = step.exec(text);
    if (match === null) return undefined;
    path.push(match[2] === undefined ? (match[1] ?? match[3] ?? match[4])! : Number(match[2]));
    at = step.lastIndex;
  }
  return path;
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
