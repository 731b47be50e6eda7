/** The part of the config that is about who else is told: Home Assistant, and Sparkplug hosts. */

import { topicNameProblem } from '../mqtt/topics.ts';
import { describe, type Section } from './checker.ts';
import type { HomeAssistantConfig, SparkplugConfig } from './config.ts';

/** `homeAssistant:`, `homeAssistant: true` or a mapping switch it on; absent or `false`: undefined. */
export function readHomeAssistant(root: Section, gateway: string): HomeAssistantConfig | undefined {
  const section = root.switch('homeAssistant', ['discoveryPrefix', 'name']);
  if (section === undefined) return undefined;
  const discoveryPrefix = section.text('discoveryPrefix', 'homeassistant', 'a topic');
  const problem = topicNameProblem(discoveryPrefix);
  if (problem !== undefined)
    section.add(
      'discoveryPrefix',
      'a topic without wildcards',
      `${describe(discoveryPrefix)}, with ${problem}`,
    );
  return { discoveryPrefix, name: section.text('name', `Dormouse ${gateway}`, 'a name') };
}

export function readSparkplug(root: Section, gateway: string): SparkplugConfig | undefined {
  if (!root.has('sparkplug')) return undefined;
  const section = root.section('sparkplug', ['group', 'edge']);
  return { group: readId(section, 'group'), edge: readId(section, 'edge', gateway) };
}

/** Sparkplug's ids are levels of topics. */
function readId(section: Section, key: string, fallback?: string): string {
  const expected = 'an id without / + and #';
  const id = section.text(key, fallback, expected);
  if (/[/+#\0]/.test(id)) section.add(key, expected, describe(id));
  return id;
}
