/** What a command is. */

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole text of `dormouse NAME --help`. */
  readonly usage: string;
  /** Takes the arguments after the command's name; resolves to the exit code. */
  run(args: string[]): Promise<number>;
}

/** The command was called wrongly; one sentence is printed and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
