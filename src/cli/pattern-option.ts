/** `--pattern`: what all heads of a model that is trained see of their window. */
import type { TransformerConfig } from '../engine/config.ts';
import { AGES_MAX, type HeadPattern, PINNED_MAX } from '../engine/patterns.ts';
import { UsageError } from './command.ts';
import { wholeNumberOption } from './options.ts';

const patternForms = 'a-shape:LOCAL, vertical-slash:LOCAL,PINNED or slash:LOCAL,AGE,AGE,...';

/** Undefined: everything. Throws UsageError for what is none of `patternForms`; the window is checked with the rest. */
export function patternOption(text: string | undefined): HeadPattern | undefined {
  if (text === undefined) return undefined;
  const [kind, list, ...surplus] = text.split(':');
  const parts = surplus.length > 0 || list === undefined ? [] : list.split(',');
  const numberOf = (part: string, max: number) => wholeNumberOption('pattern', part, 0, 1, max);
  const local = (): number => numberOf(parts[0]!, Number.MAX_SAFE_INTEGER);
  if (kind === 'a-shape' && parts.length === 1) return { local: local() };
  if (kind === 'vertical-slash' && parts.length === 2) {
    return { local: local(), pinned: numberOf(parts[1]!, PINNED_MAX) };
  }
  if (kind === 'slash' && parts.length > 1 && parts.length <= AGES_MAX) {
    return { local: local(), ages: parts.slice(1).map((part) => numberOf(part, Number.MAX_SAFE_INTEGER)) };
  }
  throw new UsageError(`--pattern: expected ${patternForms}, got '${text}'`);
}

/** The same for all heads of all layers. */
export function withPattern(
  { layers, heads }: TransformerConfig,
  pattern: HeadPattern | undefined,
): Pick<TransformerConfig, 'patterns'> {
  if (pattern === undefined) return {};
  return { patterns: Array.from({ length: layers }, () => Array<HeadPattern>(heads).fill(pattern)) };
}
