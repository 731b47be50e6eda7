/** What the gateway tells its operator: one line per event, made for journald. */

export interface Log {
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

/** Levels by name, the gravest first, with their syslog priority. */
const priorities = { error: 3, warning: 4, info: 6 } as const;

export type LogLevel = keyof typeof priorities;

export const logLevels = Object.keys(priorities) as readonly LogLevel[];

/**
 * Lines with a syslog priority prefix if systemd's journal reads them (it sets JOURNAL_STREAM), else with a word.
 * Nothing below `level` is written. Time stamps are the journal's business, and a terminal's reader has a clock.
 */
export function makeLog(write: (text: string) => void, journal: boolean, level: LogLevel = 'info'): Log {
  const line = (own: LogLevel) => (text: string) => {
    if (priorities[own] > priorities[level]) return;
    const oneLine = text.replaceAll(/\s*\n\s*/g, ' ');
    const word = own === 'info' ? '' : `${own}: `;
    write(journal ? `<${priorities[own]}>${oneLine}\n` : `${word}${oneLine}\n`);
  };
  return { info: line('info'), warning: line('warning'), error: line('error') };
}
