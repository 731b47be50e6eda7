/** Why a file can't be used, in the words of whoever named it. */

/** For what node:fs threw; Node's own messages repeat the path and name the system call. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EISDIR') return 'a directory';
  if (code === 'EACCES') return 'one that this user may not use';
  return message;
}
