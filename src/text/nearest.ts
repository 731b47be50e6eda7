/** The name that someone probably meant. */

/** Longer than any name: nobody's mistyped one, and slow to compare. */
const typedMax = 200;

/**
 * Of `names` the one with the fewest edits to `typed`, if that is at most a third of its length (and 2), or the one
 * that begins with what was typed.
 */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  if (typed.length > typedMax) return undefined;
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const isBeginning = wanted.length >= 2 && name.toLowerCase().startsWith(wanted);
    const distance = isBeginning ? 1 : editDistance(wanted, name.toLowerCase());
    if (distance < bestDistance && distance < name.length) [best, bestDistance] = [name, distance];
  }
  return best !== undefined && bestDistance <= Math.max(2, best.length / 3) ? best : undefined;
}

/** `; did you mean "NAME"?`, or nothing when none is near. */
export function didYouMean(typed: string, names: readonly string[]): string {
  const near = nearestName(typed, names);
  return near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitution));
    }
    row = next;
  }
  return row[b.length]!;
}
