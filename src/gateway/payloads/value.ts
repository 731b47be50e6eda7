/** What a raw value of a payload is as a number. */

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const words: Readonly<Record<string, number>> = {
  on: 1,
  true: 1,
  off: 0,
  false: 0,
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

/** Whether a text is a decimal number, without spaces around it. */
export function isDecimal(text: string): boolean {
  return decimal.test(text);
}

/** Decimal numbers, ON/OFF, true/false, nan and infinities; undefined for any other text. */
export function numberOfText(text: string): number | undefined {
  if (decimal.test(text)) return Number(text);
  const word = text.toLowerCase();
  return Object.hasOwn(words, word) ? words[word] : undefined;
}
