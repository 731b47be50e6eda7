import { expect, test } from 'vitest';
import { throttlingTeller } from '../../src/cli/open-ledger.ts';
import { noteLog } from '../gateway/fixture.ts';

test('a sagging supply is told when it begins, when it changes and when it ends', () => {
  const log = noteLog();
  const tell = throttlingTeller(log);
  // What was once since boot, and what nobody can tell, is no news.
  for (const bits of [null, 0, 0x50000, 0x50001, 0x50001, 0x50005, 0x50000, null]) tell(bits);
  expect(log.lines).toEqual([
    'warning: undervoltage: readings of this time are not those of a healthy board',
    'warning: undervoltage, throttled: readings of this time are not those of a healthy board',
    'info: no longer undervoltage, throttled',
  ]);
});
