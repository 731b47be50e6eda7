/** The model that wants to work: where it stands on its way, and what becomes of it. */
import type { Log } from '../log.ts';
import type { ModelName } from './model-store.ts';
import type { SelfTestReport } from './self-test.ts';
import { type RefusalCode, short } from './vet.ts';

/** Settling: it is decided, and waits for the disk. */
type Phase = 'idle' | 'vetting' | 'selfTest' | 'canary' | 'watch' | 'settling';

/** Where a model came from; the id is that of an offer. */
export interface Origin {
  readonly from: 'file' | 'upload' | 'store';
  readonly id?: string | null;
}

export interface Candidate {
  readonly name: ModelName;
  readonly origin: Origin;
}

/** What became of a model. */
export interface Outcome {
  readonly sha256: string;
  readonly outcome: 'promoted' | 'confirmed' | 'refused' | 'rolledBack' | 'alreadyAtWork';
  readonly code?: RefusalCode;
  readonly reason?: string;
}

export interface CandidacyOptions {
  readonly log: Log;
  /** Something that `status` tells has changed. */
  readonly onChange: () => void;
  readonly onOutcome: (outcome: Outcome, origin: Origin) => void;
}

export class Candidacy {
  candidate: Candidate | undefined;
  selfTest: SelfTestReport | undefined;
  /** It was given up while something was being waited for. */
  isWithdrawn = false;
  readonly #options: CandidacyOptions;
  #phase: Phase = 'idle';

  constructor(options: CandidacyOptions) {
    this.#options = options;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get isOpen(): boolean {
    return this.#phase !== 'idle';
  }

  begin(candidate: Candidate): void {
    this.candidate = candidate;
    this.isWithdrawn = false;
    this.selfTest = undefined;
    this.enter('vetting');
  }

  enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onChange();
  }

  tell(outcome: Outcome): void {
    const { log, onOutcome } = this.#options;
    const { sha256, outcome: what, reason } = outcome;
    const text = `models: ${short(sha256)} ${what}${reason === undefined ? '' : `: ${reason}`}`;
    if (reason === undefined) log.info(text);
    else log.warning(text);
    onOutcome(outcome, this.candidate?.origin ?? { from: 'store' });
  }

  /** Its way has ended. */
  conclude(outcome: Outcome): void {
    this.tell(outcome);
    this.candidate = undefined;
    this.enter('idle');
  }
}
