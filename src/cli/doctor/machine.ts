/** What the doctor finds of the machine: Node, clock, kernels, memory, meters. */
import { totalmem } from 'node:os';
import { chooseMeter, type Machine } from '../../energy/choose-meter.ts';
import type { MeterSettings } from '../../energy/meter-settings.ts';
import type { Target } from '../../energy/target.ts';
import { isTrusted, kernelNames } from '../../engine/kernels/choose.ts';
import type { KernelName } from '../../engine/kernels/contract.ts';
import type { LoadedConfig } from '../../gateway/config/load-config.ts';
import type { ClockAnswer } from '../clock-sync.ts';
import { makeGateway, targetMismatch } from '../device.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const nodeMajorMin = 20;

export function checkNode(version: string = process.versions.node): Finding {
  const major = Number(version.split('.')[0]);
  const text = `Node ${version} on ${process.arch}`;
  if (major >= nodeMajorMin) return ok('node', text);
  return failure(
    'node',
    text,
    `Node ${nodeMajorMin} or later is needed: install it from your distribution or nodejs.org`,
  );
}

export function checkClock(answer: ClockAnswer): Finding {
  if (answer === true) return ok('clock', 'synchronised');
  if (answer === undefined) {
    const advice = 'see that an NTP client runs: times of receipt come from this clock';
    return warning('clock', 'nobody here can tell whether it is synchronised', advice);
  }
  const advice = '`timedatectl set-ntp true`, and see that the network lets NTP (UDP 123) out';
  return warning(
    'clock',
    'not synchronised yet: the gateway waits for it half a minute at its start',
    advice,
  );
}

/** `trusted`: whether kernels compute right here. */
export function checkKernels(
  target: Target | undefined,
  trusted: (name: KernelName) => boolean = isTrusted,
): Finding {
  const preferred = target?.kernels ?? kernelNames;
  const chosen = preferred.find(trusted) ?? 'truth';
  const passedOver = kernelNames.slice(0, kernelNames.indexOf(chosen)).map((name) => whyNot(name, preferred));
  const text = `${chosen}${passedOver.length === 0 ? ', the fastest' : `; not ${passedOver.join('; not ')}`}`;
  if (chosen !== 'truth') return ok('kernel', text);
  return warning(
    'kernel',
    text,
    'many times slower than with WebAssembly SIMD: a newer Node, on a 64-bit system, has it',
  );
}

function whyNot(name: KernelName, preferred: readonly KernelName[]): string {
  return preferred.includes(name)
    ? `${name}: this Node can't compile it, or computes wrong with it (its self-test)`
    : `${name}: slower on this target`;
}

/** The engine within the target's budget, and that within the machine. */
export function checkMemory(
  loaded: LoadedConfig,
  target: Target | undefined,
  machineBytes = totalmem(),
): Finding {
  const quiet = { info: () => {}, warning: () => {}, error: () => {} };
  try {
    const { engine } = makeGateway(loaded, { log: quiet });
    const kibibytes = Math.ceil(engine.memory.buffer.byteLength / 1024);
    if (target === undefined) return ok('memory', `the engine takes ${kibibytes} KiB; no target bounds it`);
    const budget = Math.floor(target.memoryBudgetBytes / 1024);
    const text = `the engine takes ${kibibytes} of the ${budget} KiB of target ${target.name}`;
    if (machineBytes >= target.processBytesMax) return ok('memory', text);
    const advice = 'choose the target of this machine, or a smaller model';
    return warning('memory', `${text}, but this machine has ${mebibytes(machineBytes)}`, advice);
  } catch (error) {
    return failure('memory', (error as Error).message, 'choose a smaller model or the right target');
  }
}

export function checkTarget(target: Target | undefined): Finding[] {
  const mismatch = targetMismatch(target?.name);
  return mismatch === undefined ? [] : [warning('target', mismatch, 'set `target` to this machine')];
}

export async function checkMeters(settings: MeterSettings | undefined, machine: Machine): Promise<Finding> {
  const { meter, passedOver } = await chooseMeter(settings ?? { meter: 'auto' }, machine);
  const not = passedOver.length === 0 ? '' : `; not ${passedOver.join('; not ')}`;
  if (meter !== undefined) {
    const now = meter.lastText === undefined ? '' : `, now ${meter.lastText}`;
    return ok('meters', `${meter.source}, ${meter.title}${now}${not}`);
  }
  if (settings?.meter === 'model') return ok('meters', 'the watt model, as configured');
  const advice =
    'joules will be estimates, and marked so; a smart plug or an INA219 chip measures them (docs/energy.md)';
  const wanted =
    settings === undefined || settings.meter === 'auto' ? '' : `${settings.meter} is configured, but `;
  return warning('meters', `${wanted}nothing here measures${not}`, advice);
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
