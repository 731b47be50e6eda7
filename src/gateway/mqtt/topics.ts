/** MQTT topic names and filters (MQTT 5.0 section 4.7, the same in 3.1.1). */

const topicBytesMax = 65535;

/** What is wrong with a topic filter; undefined when it is valid. Shared subscriptions are not accepted. */
export function topicFilterProblem(filter: string): string | undefined {
  if (filter.startsWith('$share/')) return 'a shared subscription';
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1))
      return "a '#' that is not the last level";
    if (level.includes('+') && level !== '+') return "a '+' that is not a whole level";
  }
  return textProblem(filter);
}

/** What is wrong with a topic to publish to; undefined when it is valid. */
export function topicNameProblem(topic: string): string | undefined {
  return /[+#]/.test(topic) ? 'a wildcard' : textProblem(topic);
}

/** A topic with each `{name}` replaced; whatever the value holds, it becomes one level and no wildcard. */
export function fillTopic(topic: string, values: Readonly<Record<string, string>>): string {
  return topic.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? values[name]!.replaceAll(/[/+#$\0]/g, '_') : whole,
  );
}

function textProblem(topic: string): string | undefined {
  if (topic === '') return 'nothing';
  if (topic.includes('\0')) return 'a NUL character';
  return Buffer.byteLength(topic) > topicBytesMax ? `more than ${topicBytesMax} bytes` : undefined;
}

/** Whether a filter selects a topic. Wildcards at the start do not match topics that begin with `$`. */
export function topicMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true;
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}
