/** The part of the config that is about the ledger: which joules are counted, and how often they are written down. */
import { resolve } from 'node:path';
import { meterNames, type PlugKind, type PlugSettings, plugKinds } from '../../energy/meter-settings.ts';
import { topicNameProblem } from '../mqtt/topics.ts';
import { describe, type Section } from './checker.ts';
import type { LedgerConfig } from './config.ts';
import { readKnownName } from './sections.ts';

const ledgerKeys = ['directory', 'target', 'intervalS', 'flushS', 'meter', 'chip', 'plug'];

/** Undefined without a `ledger` section. `device` is the config's own target, which the ledger's need not repeat. */
export function readLedger(
  root: Section,
  directory: string,
  targets: readonly string[],
  device: string | undefined,
): LedgerConfig | undefined {
  if (!root.has('ledger')) return undefined;
  const section = root.section('ledger', ledgerKeys);
  const isDevice = device !== undefined && !section.has('target');
  const chip = section.optionalText('chip', 'a device of the power chip such as 1-0040');
  const plug = readPlug(section);
  const meter = section.choice('meter', meterNames, 'auto');
  if (meter === 'plug' && plug === undefined) section.add('plug', 'the plug that is the meter', 'nothing');
  const intervalS = section.number('intervalS', { min: 1, max: 3600 }, 60);
  return {
    directory: resolve(directory, section.text('directory', undefined, 'a path')),
    target: isDevice ? device : readKnownName(section, 'target', targets),
    intervalMs: 1000 * intervalS,
    flushMs: 1000 * section.number('flushS', { min: intervalS, max: 86_400 }, Math.max(600, intervalS)),
    meter,
    ...(chip === undefined ? {} : { chip }),
    ...(plug === undefined ? {} : { plug }),
  };
}

function readPlug(ledger: Section): PlugSettings | undefined {
  if (!ledger.has('plug')) return undefined;
  const section = ledger.section('plug', ['kind', 'topic']);
  const topic = section.text('topic', undefined, 'a topic');
  const problem = topic === '' ? undefined : topicNameProblem(topic);
  if (problem !== undefined)
    section.add('topic', 'a topic without wildcards', `${describe(topic)}, with ${problem}`);
  return { kind: section.choice('kind', plugKinds, '' as PlugKind), topic };
}
