/** Lines with colour codes as an SVG picture of a terminal, for pages that can't show a terminal. */

const colours: Readonly<Record<string, string>> = {
  '31': '#f47067',
  '32': '#57ab5a',
  '33': '#c69026',
  '35': '#b083f0',
  '36': '#39c5cf',
};
const plain = '#cdd9e5';
const background = '#1c2128';
const columnPx = 8.4;
const linePx = 18;
const marginPx = 14;

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes are what is looked for
const code = /\u001b\[([\d;]*)m/;

/** An SVG of `lines`, each at most `columns` characters wide, coloured by SGR codes as `renderLine` writes them.
 * `title`: what a reader who can't see it is told. */
export function pictureOf(lines: readonly string[], columns: number, title: string): string {
  const width = Math.ceil(columns * columnPx + 2 * marginPx);
  const height = Math.ceil(lines.length * linePx + 2 * marginPx);
  const rows = lines.map((line, row) => pictureLine(line, marginPx + (row + 0.75) * linePx));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="${background}"/>`,
    '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" xml:space="preserve">',
    ...rows,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function pictureLine(line: string, y: number): string {
  const parts = line.split(code);
  let style = '';
  let column = 0;
  let spans = '';
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) {
      style = part === '0' ? '' : part;
      continue;
    }
    const length = [...part].length;
    if (part.trim() !== '') spans += span(part, marginPx + column * columnPx, length * columnPx, style);
    column += length;
  }
  return `<text y="${y.toFixed(1)}">${spans}</text>`;
}

function span(text: string, x: number, width: number, style: string): string {
  const codes = style.split(';');
  const fill = colours[codes.find((each) => each in colours) ?? ''] ?? plain;
  const look = `${codes.includes('1') ? ' font-weight="bold"' : ''}${codes.includes('2') ? ' opacity="0.6"' : ''}`;
  const size = `x="${x.toFixed(1)}" textLength="${width.toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
  return `<tspan ${size} fill="${fill}"${look}>${escaped(text)}</tspan>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
