import { expect, test } from 'vitest';
import { pictureOf } from '../../../src/cli/terminal/picture.ts';
import { renderLine } from '../../../src/cli/terminal/text.ts';

test('draws text at its column in its colour, escaped', () => {
  const svg = pictureOf(
    [renderLine(['a<b ', { text: 'hot', style: 'red' }, ' & ', { text: 'old', style: 'dim' }], 80, true)],
    80,
    'a view',
  );
  expect(svg).toContain('>a&lt;b </tspan>');
  expect(svg).toContain(
    'x="47.6" textLength="25.2" lengthAdjust="spacingAndGlyphs" fill="#f47067">hot</tspan>',
  );
  expect(svg).toContain('opacity="0.6">old</tspan>');
  expect(svg).not.toContain('\u001b');
});

test('is as high as there are lines', () => {
  expect(pictureOf(['x', 'y'], 10, 'two')).toContain('width="112" height="64"');
});
