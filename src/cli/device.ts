/** What the device that a config names allows its gateway. */
import { findTarget, type Target } from '../energy/target.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { isTrusted } from '../engine/kernels/choose.ts';
import type { LoadedConfig } from '../gateway/config/load-config.ts';
import { Gateway, type GatewayOptions } from '../gateway/service.ts';

export type EngineLimits = Pick<EngineOptions, 'streams' | 'maxBytes' | 'kernels'>;

/**
 * The engine's options on that device: its memory, and the first of its kernels that computes right here.
 * Throws RangeError when it is not meant to carry so many streams.
 */
export function engineLimits(target: Target, streams: number): EngineLimits {
  if (streams > target.streams) {
    throw new RangeError(`${describe(target)}: expected at most ${target.streams} streams, got ${streams}`);
  }
  const kernels = target.kernels.find(isTrusted);
  return { streams, maxBytes: target.memoryBudgetBytes, ...(kernels === undefined ? {} : { kernels }) };
}

/** A gateway within what the config's target allows. Throws Error that names the target when the model does not fit. */
export function makeGateway(loaded: LoadedConfig, options: GatewayOptions): Gateway {
  const name = loaded.config.target;
  if (name === undefined) return new Gateway(loaded, options);
  const target = findTarget(name);
  const engine = engineLimits(target, 1);
  try {
    return new Gateway(loaded, { ...options, engine });
  } catch (error) {
    throw new Error(`${describe(target)}: ${(error as Error).message}`, { cause: error });
  }
}

/** What is odd about running for that target on this machine; undefined: nothing. */
export function targetMismatch(
  name: string | undefined,
  architecture: string = process.arch,
): string | undefined {
  if (name === undefined) return undefined;
  const target = findTarget(name);
  if (target.cpu.architecture === architecture) return undefined;
  return `${describe(target)} is ${target.cpu.architecture}, this machine is ${architecture}: its watts are not this machine's`;
}

function describe({ name, title }: Target): string {
  return `target ${name} (${title})`;
}
