/** What everything inside a package is licensed under, in its own words. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folders of the npm packages among the files that a bundle was made of. */
export function bundledPackages(inputs) {
  const folders = inputs.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
}

/** One text: our licence, Node's, and that of each bundled package. */
export function licenceTexts({ root, nodeLicence, packages }) {
  const parts = [
    ['Dormouse', readFileSync(join(root, 'LICENSE'), 'utf8')],
    ...packages.map((folder) => packageLicence(root, folder)),
    ['Node.js', readFileSync(nodeLicence, 'utf8')],
  ];
  return parts.map(([name, text]) => `${name}\n${'='.repeat(name.length)}\n\n${text.trim()}\n`).join('\n\n');
}

function packageLicence(root, folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const file = readdirSync(join(root, folder)).find((path) => /^licen[cs]e(\.(md|txt))?$/i.test(path));
  const text =
    file === undefined
      ? `${license}, as its package.json says.`
      : readFileSync(join(root, folder, file), 'utf8');
  return [`${name} ${version}`, text];
}
