/** What commands write to standard output, kept instead. */
import { afterEach, beforeEach, vi } from 'vitest';

/** Keeps what each test of this file, or of this `describe`, writes. */
export function captureOutput(): { written: string } {
  const output = { written: '' };
  beforeEach(() => {
    output.written = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      output.written += text;
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());
  return output;
}
