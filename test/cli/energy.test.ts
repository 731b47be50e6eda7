import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/energy.ts';
import { columnChart } from '../../src/cli/terminal/chart.ts';
import { encodeRecord } from '../../src/energy/ledger-record.ts';
import { ledgerRecord } from '../energy/fixture.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-energy-'));
  const startMs = new Date(2026, 10, 20, 12, 0).getTime();
  const lines = Array.from({ length: 48 }, (_, hour) =>
    encodeRecord(
      ledgerRecord({ startMs: startMs + hour * 3_600_000, wallMs: 3_600_000, energyJ: 10_800, throttled: 0 }),
    ),
  );
  writeFileSync(join(directory, 'ledger.ndjson.1'), lines.slice(0, 30).join(''));
  writeFileSync(join(directory, 'ledger.ndjson'), `${lines.slice(30).join('')}{"cut of`);
});
afterEach(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  try {
    expect(await command.run([directory, ...args])).toBe(0);
  } finally {
    write.mockRestore();
  }
  return text;
}

describe('dormouse energy', () => {
  it('reads like this', async () => {
    const text = await run();
    expect(text).toContain(': 48 records\n');
    expect(text).toContain(
      '2026-11-20 12:00 to 2026-11-22 12:00, joules by the published watt model of pi4: arithmetic, not a measurement',
    );
    expect(text).toMatch(/\n3 W █{48}\n/);
    expect(text).toMatch(/\nday +hours +Wh .*\n2026-11-20 +12 +36 .* 3 .*80\.0 %\n2026-11-21 +24 +72 /);
    expect(text).toMatch(/\nweek of .*\n2026-11-16 +48 +144 /);
    expect(text).toMatch(/\ntier +ticks .*\n0 full +48 +10\.0 % /);
    expect(text).toMatch(/\nidle 518\.4 kJ \+ this process 480 mJ|this process 0\.48 J/);
    expect(text).toContain('always tier 0, an estimate: ');
    expect(text).toContain('never throttled, never undervolted');
    expect(text).not.toContain('45 nm');
  });

  it('names the theoretical figure and its constants, when asked', async () => {
    expect(await run('--theoretical')).toMatch(
      /theoretical 45 nm arithmetic energy, of no machine: .*0\.2 pJ an int8 multiplication, 0\.1 pJ an int32 addition/,
    );
  });

  it('gives the records as CSV and NDJSON, and the sums as JSON', async () => {
    expect((await run('--csv')).trimEnd().split('\n')).toHaveLength(49);
    expect((await run('--ndjson')).trimEnd().split('\n')).toHaveLength(48);
    const { sources, records } = JSON.parse(await run('--json'));
    expect(records).toBe(48);
    expect(sources[0]).toMatchObject({ source: 'model', energyJ: 48 * 10_800, ticks: 480 });
    expect(sources[0].days).toHaveLength(3);
  });

  it('draws', async () => {
    const path = join(directory, 'power.svg');
    await run('--svg', path);
    expect(readFileSync(path, 'utf8')).toContain('<svg ');
  });

  it('says what is wrong', async () => {
    await expect(command.run([])).rejects.toThrow(UsageError);
    await expect(command.run([directory, '--csv', '--json'])).rejects.toThrow(
      /one of --csv, --ndjson and --json/,
    );
    await expect(command.run([join(directory, 'absent')])).rejects.toThrow(
      /expected the directory of a ledger, got none/,
    );
    await expect(command.run([tmpdir()])).rejects.toThrow(/expected records, got none/);
    await expect(command.run([directory, '--svg', join(directory, 'no', 'x.svg')])).rejects.toThrow(
      /no such file/,
    );
  });
});

describe('columnChart', () => {
  it('scales from zero and leaves gaps where nothing is known', () => {
    const chart = columnChart([4, 2, Number.NaN, 1, 0], 2, (value) => `${value} W`);
    expect(chart).toEqual(['4 W █', '0 W ██ ▄']);
  });

  it('draws nothing at all when there is nothing', () => {
    expect(columnChart([Number.NaN], 2, String)).toEqual(['0', '0']);
  });
});

it('says how far a meter and the watt model lie apart', async () => {
  const measured = ledgerRecord({
    source: 'hwmon',
    energyJ: 189,
    watts: { ...ledgerRecord().watts, basis: 'calibrated' },
  });
  writeFileSync(join(directory, 'ledger.ndjson'), encodeRecord(measured));
  const text = await run();
  expect(text).toContain('joules by hwmon, all of the board');
  expect(text).toContain(
    'idle 180 J + this process 10 mJ + others 30 mJ = 180 J; the meter says 189 J (+5.0 %)',
  );
  expect(text).toMatch(
    /per inference: no figure, 0\.04 J above idle are less than what the hwmon meter can tell/,
  );
});
