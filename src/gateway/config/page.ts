/** The part of the config that is about being watched and told: the HTTP server and the commands. */
import { resolve } from 'node:path';
import { isLoopback } from '../http/access.ts';
import { describe, type Section } from './checker.ts';
import type { CommandsConfig, PageConfig } from './config.ts';

const daySeconds = 86_400;
const namePattern = /^[A-Za-z0-9.-]{1,253}$/;

/** `page: true`, or a mapping, switches it on. */
export function readPage(root: Section, directory: string): PageConfig | undefined {
  const section = root.switch('page', ['port', 'host', 'tokenFile', 'names', 'historyTicks', 'tickWithinS']);
  if (section === undefined) return undefined;
  const host = section.text('host', '127.0.0.1', 'an address or a name to listen on');
  const tokenFile = section.optionalText('tokenFile', 'a path');
  if (tokenFile === undefined && !isLoopback(host)) {
    section.add(
      'tokenFile',
      `a file with a token, since ${describe(host)} can be reached from elsewhere`,
      'nothing',
    );
  }
  return {
    port: section.whole('port', 0, 65_535, 8420),
    host,
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(directory, tokenFile) }),
    names: readNames(section),
    historyTicks: section.whole('historyTicks', 60, 10_000, 1500),
    tickWithinMs: 1000 * section.number('tickWithinS', { min: 0, max: 7 * daySeconds }, 0),
  };
}

function readNames(section: Section): string[] {
  const given = section.value('names') ?? [];
  const names = Array.isArray(given) ? given : [];
  if (Array.isArray(given) && names.every((name) => typeof name === 'string' && namePattern.test(name)))
    return names.map((name: string) => name.toLowerCase());
  section.add('names', 'a list of host names without ports', describe(given));
  return [];
}

/** `commands: true`, or a mapping, switches them on. */
export function readCommands(root: Section): CommandsConfig | undefined {
  const section = root.switch('commands', ['perMinute']);
  return section === undefined ? undefined : { perMinute: section.whole('perMinute', 1, 6000, 30) };
}
