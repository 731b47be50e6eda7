/** What the pages point at is there: commands with their options, files, and other pages' headings. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Command } from '../../src/cli/command.ts';
import { gatewayCommands } from '../../src/cli/gateway-commands.ts';
import { workshopNames } from '../../src/cli/workshop-names.ts';

const root = join(import.meta.dirname, '../..');
const pages = ['README.md', ...readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))].map(
  (name) => (name === 'README.md' ? name : `docs/${name}`),
);
const textOf = (page: string) => readFileSync(join(root, page), 'utf8');

const names = [...Object.keys(gatewayCommands), ...workshopNames];
const commands = new Map<string, Command>();
for (const name of names) {
  const file = new URL(`../../src/cli/${name.replace(' ', '-')}.ts`, import.meta.url).href;
  commands.set(name, ((await import(file)) as { command: Command }).command);
}

/** Each call of the program: the command's name, and the options behind it. */
function calls(text: string): [string, string[]][] {
  const lines = text
    .replaceAll(/\\\n\s*/g, ' ')
    .matchAll(/(?:\bdormouse(?:\.mjs)? |`(?!dormouse))([a-z]+(?: [a-z]+)?)([^\n`|#]*)/g);
  return [...lines].flatMap(([, words, rest]): [string, string[]][] => {
    const name = [words!, words!.split(' ')[0]!].find((one) => commands.has(one));
    const options = [...rest!.matchAll(/(?<=\s)--[a-z][\w-]*/g)]
      .map(([option]) => option)
      .filter((option) => option !== '--help');
    return name === undefined ? [] : [[name, options]];
  });
}

/** As headings are pointed at. */
function anchors(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(pages)('%s', (page) => {
  const text = textOf(page);

  test('names only options that the commands have', () => {
    for (const [name, options] of calls(text))
      for (const option of options) expect(commands.get(name)!.usage, `${name} ${option}`).toContain(option);
  });

  test('links only to what there is', () => {
    const prose = text.replaceAll(/```[\s\S]*?```/g, '');
    for (const [, target] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (target!.startsWith('http')) continue;
      const [path, anchor] = target!.split('#');
      const file = path === '' ? page : join(dirname(page), path!);
      expect(existsSync(join(root, file)), target).toBe(true);
      if (anchor !== undefined) expect(anchors(file), target).toContain(anchor);
    }
  });

  test('names only files that there are', () => {
    for (const [path] of text.matchAll(/(?<![\w/.<-])(?:src|test|scripts|targets)\/[\w./-]*\w/g))
      expect(existsSync(join(root, path)), path).toBe(true);
  });
});

test('every command is on some page', () => {
  const named = new Set(pages.flatMap((page) => calls(textOf(page)).map(([name]) => name)));
  expect(names.filter((name) => !named.has(name))).toEqual([]);
});
