import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeDay } from '../../scripts/card-writes/day.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-card-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What each write costs beside its bytes: the page that it begins in and the one that it ends in, and a journal page. */
const overheadBytes = 2 * 4096;

test('with default settings a day at 10 ticks a second writes less than 5 MB', async () => {
  const model = join(import.meta.dirname, '../../targets/models/occupancy.safetensors');
  const day = await writeDay(directory, model, 10);
  expect(day.records).toBe(1440);
  expect(day.witnesses + day.passedOver).toBe(864_000);
  expect(day.witnesses).toBeGreaterThan(5000);
  expect(day.ledgerBytes + day.witnessBytes + day.flushes * overheadBytes).toBeLessThan(5e6);
});
