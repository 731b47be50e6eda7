/** One line on stderr that says how far long work is, where somebody looks at it. */

/** Replaces the line. */
export function showStatus(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Leaves nothing behind. */
export function clearStatus(): void {
  showStatus('');
}
