/** The terminal while a live view is on it: whole frames, no flicker, and as it was before when it ends. */

/** What is needed of a terminal; process.stdout is one. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const enterAlternateScreen = '\x1b[?1049h';
const leaveAlternateScreen = '\x1b[?1049l';
const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';
const home = '\x1b[H';
const clearToLineEnd = '\x1b[K';
const clearBelow = '\x1b[J';

export class Screen {
  readonly #terminal: Terminal;
  #open = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** The size now; 80x24 where the terminal does not say. */
  get size(): { columns: number; rows: number } {
    return { columns: this.#terminal.columns ?? 80, rows: this.#terminal.rows ?? 24 };
  }

  /** Shows these lines and nothing else. The view must already fit the size. */
  draw(lines: readonly string[]): void {
    const opening = this.#open ? '' : enterAlternateScreen + hideCursor;
    this.#open = true;
    const body = lines.map((line) => line + clearToLineEnd).join('\r\n');
    this.#terminal.write(opening + home + body + clearBelow);
  }

  /** Gives back what was on the terminal before, and the cursor. May be called twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#terminal.write(showCursor + leaveAlternateScreen);
  }
}

/** Whether to colour: a terminal, and no wish against it (no-color.org). */
export function wantsColor(isTty: boolean, environment: NodeJS.ProcessEnv): boolean {
  const refused = environment.NO_COLOR !== undefined && environment.NO_COLOR !== '';
  return isTty && !refused && environment.TERM !== 'dumb';
}
