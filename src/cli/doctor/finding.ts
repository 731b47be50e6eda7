/** What the doctor says of one thing. */

export type Level = 'ok' | 'warning' | 'failure';

export interface Finding {
  /** What was looked at. */
  readonly check: string;
  readonly level: Level;
  /** What was found; never a secret. */
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

export function ok(check: string, text: string): Finding {
  return { check, level: 'ok', text };
}

export function warning(check: string, text: string, advice: string): Finding {
  return { check, level: 'warning', text, advice };
}

export function failure(check: string, text: string, advice: string): Finding {
  return { check, level: 'failure', text, advice };
}
