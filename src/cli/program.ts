/** The process around the commands: where text goes, and how it ends. */
import { type CommandTable, dispatch } from './dispatch.ts';

/** `dormouse eval ... | head` is no failure: whoever reads has seen enough. */
function endQuietlyWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

/** Runs the command that the process was started with. */
export async function runProgram(commands: CommandTable, elsewhere: readonly string[] = []): Promise<void> {
  endQuietlyWhenNobodyReads();
  const streams = {
    out: (text: string) => void process.stdout.write(text),
    error: (text: string) => void process.stderr.write(text),
  };
  const debug = process.env.DORMOUSE_DEBUG === '1';
  // Not process.exit: what was written to a pipe must still get out.
  process.exitCode = await dispatch(process.argv.slice(2), commands, streams, { debug, elsewhere });
}
