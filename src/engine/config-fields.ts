/** The fields of a configuration that came from outside: each is checked, and a wrong one is named. */

/** A configuration that breaks a rule; the message names the field, what was expected and what was got. */
export class ConfigError extends RangeError {
  override readonly name = 'ConfigError';
}

export function requireObject(
  input: unknown,
  path: string,
  keys: readonly string[],
): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ConfigError(`${path}: expected an object, got ${describe(input)}`);
  }
  for (const key of Object.keys(input)) {
    if (!keys.includes(key)) throw new ConfigError(`${path}.${key}: unknown; expected ${keys.join(', ')}`);
  }
  return input as Record<string, unknown>;
}

export function requireSize(input: unknown, path: string, max: number, min = 1): number {
  if (typeof input !== 'number' || !Number.isInteger(input) || input < min || input > max) {
    throw new ConfigError(`${path}: expected a whole number from ${min} to ${max}, got ${describe(input)}`);
  }
  return input;
}

export function describe(input: unknown): string {
  if (Array.isArray(input)) return `an array of ${input.length}`;
  return typeof input === 'object' && input !== null ? 'an object' : String(input);
}
