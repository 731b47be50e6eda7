/** One line on the terminal that says how training goes. */
import type { Validation } from './evaluate.ts';
import type { StepReport } from './trainer.ts';

export interface ProgressTarget {
  /** Whether the last line can be rewritten. */
  readonly interactive: boolean;
  write(text: string): void;
}

const BAR_WIDTH = 24;
/** A terminal is rewritten at most this often; a log gets one line per validation. */
const REFRESH_MS = 100;

/** Draws step, loss, validation, tokens per second and time left. `nowMs`: a clock. */
export class Progress {
  readonly #target: ProgressTarget;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #tokens = 0;
  #steps = 0;
  #meanLoss = Number.NaN;
  #validation = '';

  constructor(target: ProgressTarget, nowMs: () => number) {
    this.#target = target;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  update(report: StepReport): void {
    this.#tokens += report.tokens;
    this.#steps++;
    this.#meanLoss = Number.isNaN(this.#meanLoss) ? report.loss : 0.9 * this.#meanLoss + 0.1 * report.loss;
    if (report.validation) this.#validation = describeValidation(report.validation);
    const now = this.#nowMs();
    const due = this.#target.interactive ? now - this.#lastMs >= REFRESH_MS : report.validation !== null;
    if (!due && report.step !== report.steps) return;
    this.#lastMs = now;
    const line = this.#line(report, (now - this.#startMs) / 1000);
    this.#target.write(this.#target.interactive ? `\r\u001b[K${line}` : `${line}\n`);
  }

  /** Ends the line, so that what follows starts on its own. */
  close(): void {
    if (this.#target.interactive) this.#target.write('\n');
  }

  #line({ step, steps, quantised }: StepReport, seconds: number): string {
    const left = ((steps - step) * seconds) / Math.max(1, this.#steps);
    const filled = Math.round((BAR_WIDTH * step) / steps);
    const bar = '='.repeat(filled) + ' '.repeat(BAR_WIDTH - filled);
    const parts = [
      `[${bar}] ${step}/${steps} ${quantised ? 'int8 ' : 'float'}`,
      `loss ${this.#meanLoss.toFixed(4)}`,
      ...(this.#validation === '' ? [] : [this.#validation]),
      `${Math.round(this.#tokens / Math.max(seconds, 1e-3))} tokens/s`,
      `${formatSeconds(left)} left`,
    ];
    return parts.join('  ');
  }
}

/** For people: accuracy, or the loss where there is none, with every tick and with the thresholds. */
export function describeValidation({ dense, gated }: Validation, name = 'validation '): string {
  const tokens = `${(100 * gated.tokenShare).toFixed(0)} % tokens`;
  if (dense.accuracy === null || gated.accuracy === null) {
    return `${name}loss ${dense.loss.toFixed(4)} dense, ${gated.loss.toFixed(4)} with ${tokens}`;
  }
  return `${name}${dense.accuracy.toFixed(4)} dense, ${gated.accuracy.toFixed(4)} with ${tokens}`;
}

function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
