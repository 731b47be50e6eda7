/** The log of witnesses: what was seen, decided, done and produced at a tick, kept across power cuts. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Witness } from '../../gate/witness.ts';
import { WITNESS_BYTES } from '../../gate/witness-record.ts';
import type { WitnessLogConfig } from '../config/config.ts';
import type { GatewayPart } from '../part.ts';
import { readRecordFile } from './record-file.ts';
import { logFileName, logFileNumbers, RecordLog } from './record-log.ts';
import { type Importance, WriteBudget } from './write-budget.ts';

const logName = 'witness';

export class WitnessLog implements GatewayPart {
  readonly records: RecordLog;
  readonly budget: WriteBudget;
  #witness = new Witness();
  #lastTier = -1;
  #lastTrust = '';
  readonly #encode = (into: DataView, offset: number) => this.#witness.encode(into, offset);

  private constructor(records: RecordLog, budget: WriteBudget) {
    this.records = records;
    this.budget = budget;
  }

  /** Opens the directory's log, mended. Throws what the disk throws. */
  static async open(
    config: WitnessLogConfig,
    onProblem: (text: string) => void,
    monotonicMs?: () => number,
  ): Promise<WitnessLog> {
    const { directory, fileBytes, files, flushMs, bytesPerDay } = config;
    const options = {
      directory,
      name: logName,
      recordBytes: WITNESS_BYTES,
      fileBytes,
      files,
      flushMs,
      onProblem,
    };
    return new WitnessLog(await RecordLog.open(options), new WriteBudget(bytesPerDay, monotonicMs));
  }

  /** Notes the witness, unless the day's bytes are needed for more important ones. */
  onTick(witness: Witness): void {
    const importance = this.#importance(witness);
    if (!this.budget.take(WITNESS_BYTES, importance)) return;
    this.#witness = witness;
    this.records.append(this.#encode);
  }

  /** Where trust changes, or a token gets another tier than the last, before other tokens, these before skips. */
  #importance({ tier, trust }: Witness): Importance {
    const isChange = trust !== this.#lastTrust || (tier !== 3 && tier !== this.#lastTier);
    this.#lastTrust = trust;
    if (tier !== 3) this.#lastTier = tier;
    if (isChange) return 'high';
    return tier === 3 ? 'low' : 'medium';
  }

  counters(): { readonly witnessLog: { readonly [name: string]: number } } {
    const { written, lost, failures } = this.records;
    const { refused: passedOver } = this.budget;
    return { witnessLog: { written, writtenBytes: written * WITNESS_BYTES, passedOver, lost, failures } };
  }

  flush(): Promise<void> {
    return this.records.flush();
  }

  /** Flushes and closes the log. */
  stop(): Promise<void> {
    return this.records.close();
  }
}

/**
 * Every whole witness in a directory's log, oldest first; the same object each time. Files that another version wrote
 * are left out; `onForeign` is told their names and the bytes of their records. Throws what the disk throws.
 */
export async function* readWitnesses(
  directory: string,
  onForeign?: (file: string, recordBytes: number) => void,
): AsyncGenerator<Witness> {
  const witness = new Witness();
  for (const number of logFileNumbers(await readdir(directory), logName)) {
    const bytes = await readFile(join(directory, logFileName(logName, number)));
    const file = readRecordFile(bytes);
    if (file.recordBytes !== WITNESS_BYTES) {
      // A header that was cut says 0: a file that was just begun.
      if (file.recordBytes > 0) onForeign?.(logFileName(logName, number), file.recordBytes);
      continue;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let index = 0; index < file.count; index++) {
      witness.decode(view, file.record(index).byteOffset - bytes.byteOffset);
      yield witness;
    }
  }
}
