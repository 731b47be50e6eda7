/** As much of JSON Schema 2020-12 as our schemas use; a keyword that it does not know is an error. */
type Schema = Record<string, unknown>;

const annotations = new Set(['$schema', 'title', 'description']);

/** What is wrong with a value, each with its path; empty when it is valid. */
export function schemaProblems(schema: Schema, value: unknown, path = '$'): string[] {
  return Object.entries(schema).flatMap(([keyword, rule]) => {
    if (annotations.has(keyword)) return [];
    const check = Object.hasOwn(keywords, keyword) ? keywords[keyword]! : undefined;
    if (check === undefined) throw new Error(`unknown keyword ${keyword}`);
    return check(rule as never, value, path, schema);
  });
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

const keywords: Record<string, (rule: never, value: unknown, path: string, schema: Schema) => string[]> = {
  type(rule: string | string[], value, path) {
    const types = [rule].flat();
    const fits = types.includes(typeOf(value)) || (types.includes('integer') && Number.isInteger(value));
    return fits ? [] : [`${path}: expected ${types.join(' or ')}, got ${typeOf(value)}`];
  },
  const: (rule: unknown, value, path) => (same(rule, value) ? [] : [`${path}: not ${String(rule)}`]),
  enum: (rule: unknown[], value, path) =>
    rule.some((each) => same(each, value)) ? [] : [`${path}: none of the enum`],
  minimum: (rule: number, value, path) =>
    typeof value === 'number' && value < rule ? [`${path}: below ${rule}`] : [],
  maximum: (rule: number, value, path) =>
    typeof value === 'number' && value > rule ? [`${path}: above ${rule}`] : [],
  minItems: (rule: number, value, path) =>
    Array.isArray(value) && value.length < rule ? [`${path}: too few`] : [],
  maxItems: (rule: number, value, path) =>
    Array.isArray(value) && value.length > rule ? [`${path}: too many`] : [],
  uniqueItems: (_: true, value, path) =>
    Array.isArray(value) && new Set(value.map((item) => JSON.stringify(item))).size < value.length
      ? [`${path}: twice`]
      : [],
  pattern: (rule: string, value, path) =>
    typeof value === 'string' && !new RegExp(rule, 'u').test(value) ? [`${path}: not like ${rule}`] : [],
  items: (rule: Schema, value, path) =>
    Array.isArray(value)
      ? value.flatMap((item, index) => schemaProblems(rule, item, `${path}[${index}]`))
      : [],
  anyOf: (rule: Schema[], value, path) =>
    rule.some((each) => schemaProblems(each, value).length === 0) ? [] : [`${path}: fits none`],
  required: (rule: string[], value, path) =>
    isObject(value)
      ? rule.filter((key) => !Object.hasOwn(value, key)).map((key) => `${path}.${key}: missing`)
      : [],
  properties: (rule: Record<string, Schema>, value, path) =>
    isObject(value)
      ? Object.keys(rule)
          .filter((key) => Object.hasOwn(value, key))
          .flatMap((key) => schemaProblems(rule[key]!, value[key], `${path}.${key}`))
      : [],
  additionalProperties: (_: false, value, path, schema) =>
    isObject(value)
      ? Object.keys(value)
          .filter((key) => !Object.hasOwn(schema.properties as object, key))
          .map((key) => `${path}.${key}: not in the schema`)
      : [],
};
