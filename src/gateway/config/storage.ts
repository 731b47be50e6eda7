/** The part of the config that is about what is kept on disk while it waits. */
import { resolve } from 'node:path';
import { describe, type Section } from './checker.ts';
import type { StateConfig, StorageConfig } from './config.ts';

const mebi = 1 << 20;
const storageKeys = [
  'directory',
  'commitMs',
  'intakeBytes',
  'outboxBytes',
  'outboxHours',
  'outboxFlushS',
  'resendPerS',
];

/** `storage: none`, or nothing at all: undefined. */
export function readStorage(root: Section, directory: string): StorageConfig | undefined {
  const value = root.value('storage');
  if (value === undefined || value === 'none') return undefined;
  if (typeof value === 'string') {
    root.add('storage', "'none' or a mapping with a directory", describe(value));
    return undefined;
  }
  const section = root.section('storage', storageKeys);
  return {
    directory: resolve(directory, section.text('directory', undefined, 'a path')),
    commitMs: section.whole('commitMs', 10, 60_000, 1000),
    intakeBytes: section.whole('intakeBytes', mebi / 16, 1024 * mebi, 16 * mebi),
    outboxBytes: section.whole('outboxBytes', mebi / 16, 16_384 * mebi, 64 * mebi),
    outboxMs: 3_600_000 * section.number('outboxHours', { min: 0.01, max: 8760 }, 24),
    outboxFlushMs: 1000 * section.number('outboxFlushS', { min: 0.05, max: 3600 }, 10),
    resendPerS: section.number('resendPerS', { min: 0.1, max: 100_000 }, 100),
  };
}

export function readState(root: Section, directory: string): StateConfig | undefined {
  if (!root.has('state')) return undefined;
  const section = root.section('state', ['directory', 'snapshotS']);
  return {
    directory: resolve(directory, section.text('directory', undefined, 'a path')),
    snapshotMs: 1000 * section.number('snapshotS', { min: 0.1, max: 86_400 }, 600),
  };
}
