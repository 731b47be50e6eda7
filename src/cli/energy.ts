/** `dormouse energy`: what a gateway's ledger says. */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ledgerCsv, ledgerNdjson } from '../energy/ledger-export.ts';
import { ledgerName, readLedgerFiles } from '../energy/ledger-file.ts';
import type { LedgerContents } from '../energy/ledger-record.ts';
import { powerSvg } from '../energy/power-svg.ts';
import { type SourceSummary, summarise } from '../energy/summary.ts';
import { fileProblem } from '../text/file-problem.ts';
import { type Command, UsageError } from './command.ts';
import { energyJson, energyReport } from './energy-report.ts';
import { parseOptions, requireArguments } from './options.ts';

const usage = `Usage: dormouse energy DIRECTORY [options]

Says what the ledger in DIRECTORY (the 'ledger.directory' of a gateway's config) tells: energy by the day and the week,
by tier, beside what full compute would have taken (an estimate), and a chart. Joules say where they come from and how
sure they are; a figure per inference is only given where the meter can resolve it. Times are of this machine's zone.

  --svg FILE     also draws power by the hour (of the last meter, where there were several)
  --csv          prints the records as CSV, instead
  --ndjson       prints the records as one JSON object a line, instead
  --json         prints the sums as one JSON object, instead
  --theoretical  adds the arithmetic energy that papers print, in a 45 nm process: no measurement, no estimate
`;

export const command: Command = {
  name: 'energy',
  summary: "show what a gateway's ledger says: joules by day and tier",
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        svg: { type: 'string' },
        csv: { type: 'boolean', default: false },
        ndjson: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        theoretical: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
    const [directory] = requireArguments(positionals, "a ledger's folder");
    const formats = (['csv', 'ndjson', 'json'] as const).filter((name) => values[name]);
    if (formats.length > 1)
      throw new UsageError(`expected one of --csv, --ndjson and --json, got ${formats.length}`);
    const contents = await read(directory);
    const summaries = summarise(contents.records);
    if (values.svg !== undefined) save(values.svg, powerSvg(summaries.at(-1)!));
    process.stdout.write(render(formats[0], contents, summaries, directory, values.theoretical));
    return 0;
  },
};

async function read(directory: string): Promise<LedgerContents> {
  const path = join(directory, ledgerName);
  if (!existsSync(directory) || !statSync(directory).isDirectory())
    throw new Error(`${directory}: expected the directory of a ledger, got none`);
  const contents = await readLedgerFiles(directory);
  if (contents.records.length > 0) return contents;
  const lines = contents.damagedLines > 0 ? `, but ${contents.damagedLines} lines that can't be read` : '';
  throw new Error(
    `${path}: expected records, got none${lines} (a gateway writes the first after ten minutes, or when it stops)`,
  );
}

function render(
  format: 'csv' | 'ndjson' | 'json' | undefined,
  contents: LedgerContents,
  summaries: readonly SourceSummary[],
  directory: string,
  theoretical: boolean,
): string {
  if (format === 'csv') return ledgerCsv(contents.records);
  if (format === 'ndjson') return ledgerNdjson(contents.records);
  if (format === 'json') return `${JSON.stringify(energyJson(contents, summaries, theoretical))}\n`;
  return `${energyReport(contents, summaries, directory, theoretical).join('\n')}\n`;
}

function save(path: string, svg: string): void {
  try {
    writeFileSync(path, svg);
  } catch (error) {
    throw new Error(`--svg ${path}: expected a file that can be written, got ${fileProblem(error)}`, {
      cause: error,
    });
  }
}
