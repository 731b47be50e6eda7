/** What is known about a device: its processor, what a gateway may use of it, and what it draws. */
import pi3 from '../../targets/pi3/target.json' with { type: 'json' };
import pi4 from '../../targets/pi4/target.json' with { type: 'json' };
import pi5 from '../../targets/pi5/target.json' with { type: 'json' };
import x64 from '../../targets/x64/target.json' with { type: 'json' };
import zero2w from '../../targets/zero2w/target.json' with { type: 'json' };
import { kernelNames } from '../engine/kernels/choose.ts';
import type { KernelName } from '../engine/kernels/contract.ts';

/** Power of the whole board, watts. */
export interface Watts {
  readonly idle: number;
  /** With every core busy; more than `idle`. */
  readonly allCores: number;
  /** How far the sources lie apart, or are assumed to: lowest and highest, the value between them. */
  readonly idleRange: readonly [number, number];
  readonly allCoresRange: readonly [number, number];
  /** `published`: from the sources that `source` names. `assumed`: nobody measured it. */
  readonly basis: 'published' | 'assumed';
  readonly source: string;
}

export interface Target {
  readonly name: string;
  readonly title: string;
  /** What the device tree's model begins with on these boards. */
  readonly boards: readonly string[];
  readonly cpu: {
    readonly model: string;
    readonly architecture: 'arm64' | 'x64';
    readonly cores: number;
    readonly clockMHz: number;
  };
  /** Kernels, the preferred one first. */
  readonly kernels: readonly KernelName[];
  /** The most that the engine may take of the memory. */
  readonly memoryBudgetBytes: number;
  /** What the whole process may keep to itself, heap and engine; pages of files do not count. */
  readonly processBytesMax: number;
  /** Streams that the device is meant to carry. */
  readonly streams: number;
  readonly watts: Watts;
}

/** A target description that breaks a rule; the message names the field, what was expected and what was got. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
}

/** Every target that this build knows, by name. */
export const targets: Readonly<Record<string, Target>> = Object.freeze(
  Object.fromEntries(
    [pi5, pi4, pi3, zero2w, x64].map((json) => {
      const target = parseTarget(json, `targets/${json.name}`);
      return [target.name, target];
    }),
  ),
);

/** The target of that name. Throws TargetError that lists the known ones. */
export function findTarget(name: string): Target {
  const target = Object.hasOwn(targets, name) ? targets[name] : undefined;
  if (target === undefined) {
    throw new TargetError(`target: expected one of ${Object.keys(targets).join(', ')}, got '${name}'`);
  }
  return target;
}

/**
 * The target of the machine that calls itself `boardModel` in its device tree (null: it has none).
 * An unknown board counts as an x64 computer, whose watts are assumed.
 */
export function detectTarget(boardModel: string | null): Target {
  const known = Object.values(targets).find(
    (target) => boardModel !== null && target.boards.some((board) => boardModel.startsWith(board)),
  );
  return known ?? findTarget('x64');
}

/** Checks a description whole; returns a frozen copy. Throws TargetError. */
export function parseTarget(input: unknown, path: string): Target {
  const fields = object(input, path);
  const cpu = object(fields.cpu, `${path}.cpu`);
  return Object.freeze({
    name: text(fields.name, `${path}.name`),
    title: text(fields.title, `${path}.title`),
    boards: list(fields.boards, `${path}.boards`).map((board, i) => text(board, `${path}.boards[${i}]`)),
    cpu: Object.freeze({
      model: text(cpu.model, `${path}.cpu.model`),
      architecture: oneOf(cpu.architecture, ['arm64', 'x64'] as const, `${path}.cpu.architecture`),
      cores: whole(cpu.cores, 1, 1024, `${path}.cpu.cores`),
      clockMHz: number(cpu.clockMHz, 1, 10_000, `${path}.cpu.clockMHz`),
    }),
    kernels: list(fields.kernels, `${path}.kernels`).map((name, i) =>
      oneOf(name, kernelNames, `${path}.kernels[${i}]`),
    ),
    memoryBudgetBytes: whole(fields.memoryBudgetBytes, 65_536, 2 ** 31, `${path}.memoryBudgetBytes`),
    processBytesMax: whole(fields.processBytesMax, 2 ** 24, 2 ** 40, `${path}.processBytesMax`),
    streams: whole(fields.streams, 1, 4096, `${path}.streams`),
    watts: parseWatts(fields.watts, `${path}.watts`),
  });
}

function parseWatts(input: unknown, path: string): Watts {
  const fields = object(input, path);
  const idle = number(fields.idle, 0, 10_000, `${path}.idle`);
  const allCores = number(fields.allCores, idle, 10_000, `${path}.allCores`);
  return Object.freeze({
    idle,
    allCores,
    idleRange: range(fields.idleRange, idle, `${path}.idleRange`),
    allCoresRange: range(fields.allCoresRange, allCores, `${path}.allCoresRange`),
    basis: oneOf(fields.basis, ['published', 'assumed'] as const, `${path}.basis`),
    source: text(fields.source, `${path}.source`),
  });
}

/** A lowest and a highest value around `within`. */
function range(input: unknown, within: number, path: string): readonly [number, number] {
  const [low, high] = list(input, path);
  return [number(low, 0, within, `${path}[0]`), number(high, within, 10_000, `${path}[1]`)];
}

function object(input: unknown, path: string): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    return input as Record<string, unknown>;
  }
  throw refused(path, 'an object', input);
}

function list(input: unknown, path: string): readonly unknown[] {
  if (Array.isArray(input)) return input;
  throw refused(path, 'a list', input);
}

function text(input: unknown, path: string): string {
  if (typeof input === 'string' && input !== '') return input;
  throw refused(path, 'a text', input);
}

function number(input: unknown, min: number, max: number, path: string): number {
  if (typeof input === 'number' && input >= min && input <= max) return input;
  throw refused(path, `a number from ${min} to ${max}`, input);
}

function whole(input: unknown, min: number, max: number, path: string): number {
  if (Number.isInteger(input)) return number(input, min, max, path);
  throw refused(path, `a whole number from ${min} to ${max}`, input);
}

function oneOf<T extends string>(input: unknown, allowed: readonly T[], path: string): T {
  const found = allowed.find((each) => each === input);
  if (found !== undefined) return found;
  throw refused(path, `one of ${allowed.join(', ')}`, input);
}

function refused(path: string, expected: string, got: unknown): TargetError {
  return new TargetError(`${path}: expected ${expected}, got ${JSON.stringify(got) ?? 'nothing'}`);
}
