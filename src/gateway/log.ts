/** What the gateway tells its operator: one line per event, made for journald. */

export interface Log {
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

const priorities = { error: 3, warning: 4, info: 6 } as const;
type Level = keyof typeof priorities;

/**
 * Lines with a syslog priority prefix if systemd's journal reads them (it sets JOURNAL_STREAM), else with a word.
 * Time stamps are the journal's business, and a terminal's reader has a clock.
 */
export function makeLog(write: (text: string) => void, journal: boolean): Log {
  const line = (level: Level) => (text: string) => {
    const oneLine = text.replaceAll(/\s*\n\s*/g, ' ');
    const word = level === 'info' ? '' : `${level}: `;
    write(journal ? `<${priorities[level]}>${oneLine}\n` : `${word}${oneLine}\n`);
  };
  return { info: line('info'), warning: line('warning'), error: line('error') };
}
