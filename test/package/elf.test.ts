import { describe, expect, test } from 'vitest';

const { embedBlob, pageProblem, readSegments } = await import(
  new URL('../../scripts/package/elf.mjs', import.meta.url).href
);

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileBytes: number;
  memoryBytes: number;
}

const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:0';
const kibi64 = 65_536;

/** A small program: code with notes, then variables of which some are not in the file, then what a debugger wants. */
function makeElf(changes: Partial<Record<'code' | 'variables' | 'note', Partial<Segment>>> = {}): Buffer {
  const elf = Buffer.alloc(3 * kibi64);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]).copy(elf);
  elf.writeBigUInt64LE(64n, 32);
  elf.writeBigUInt64LE(BigInt(elf.length - 64), 40);
  elf.writeUInt16LE(56, 54);
  elf.writeUInt16LE(3, 56);
  elf.writeUInt16LE(1, 60);
  const code = { type: 1, flags: 5, offset: 0, address: 0x400000, fileBytes: 5000, memoryBytes: 5000 };
  const variables = {
    ...{ type: 1, flags: 6, offset: kibi64, address: 0x400000 + 2 * kibi64 },
    ...{ fileBytes: 1000, memoryBytes: 3001 },
  };
  const note = { type: 4, flags: 4, offset: 300, address: 0x400000 + 300, fileBytes: 40, memoryBytes: 40 };
  const segments: Segment[] = [
    { ...code, ...changes.code },
    { ...variables, ...changes.variables },
    { ...note, ...changes.note },
  ];
  for (const [index, segment] of segments.entries()) writeSegment(elf, 64 + 56 * index, segment);
  elf.write(fuse, 2000);
  elf.fill(7, kibi64, kibi64 + 1000);
  elf.fill(9, kibi64 + 1000);
  return elf;
}

function writeSegment(elf: Buffer, at: number, segment: Segment): void {
  elf.writeUInt32LE(segment.type, at);
  elf.writeUInt32LE(segment.flags, at + 4);
  elf.writeBigUInt64LE(BigInt(segment.offset), at + 8);
  elf.writeBigUInt64LE(BigInt(segment.address), at + 16);
  elf.writeBigUInt64LE(BigInt(segment.fileBytes), at + 32);
  elf.writeBigUInt64LE(BigInt(segment.memoryBytes), at + 40);
  elf.writeBigUInt64LE(BigInt(kibi64), at + 48);
}

/** As Node does at its start: walks the notes in memory until one has the name. */
function findBlob(elf: Buffer): Buffer {
  const segments = readSegments(elf) as Segment[];
  const note = segments.find(({ type }) => type === 4)!;
  const load = segments.find(
    ({ type, address, memoryBytes }) =>
      type === 1 && address <= note.address && note.address + note.memoryBytes <= address + memoryBytes,
  )!;
  const at = load.offset + note.address - load.address;
  expect(elf.toString('latin1', at + 12, at + 12 + elf.readUInt32LE(at) - 1)).toBe('NODE_SEA_BLOB');
  return elf.subarray(at + 28, at + 28 + elf.readUInt32LE(at + 4));
}

describe('a binary with a blob', () => {
  const blob = Buffer.from('console.log(1)');
  const made = embedBlob(makeElf(), blob) as Buffer;

  test('has it where Node looks for it, and says so', () => {
    expect(findBlob(made)).toEqual(blob);
    expect(made.includes(`${fuse.slice(0, -1)}1`)).toBe(true);
  });

  test('keeps its variables, and has zeros where those of zero are', () => {
    expect(made.subarray(kibi64, kibi64 + 1000).every((byte) => byte === 7)).toBe(true);
    expect(made.subarray(kibi64 + 1000, kibi64 + 3001).every((byte) => byte === 0)).toBe(true);
  });

  test('is without what only a debugger needs', () => {
    expect(made.length).toBeLessThan(makeElf().length);
    expect(made.includes(9, kibi64 + 3001)).toBe(false);
    expect([made.readBigUInt64LE(40), made.readUInt16LE(60)]).toEqual([0n, 0]);
  });

  test.each([4096, 16_384, kibi64])('loads with pages of %d bytes', (bytes) => {
    expect(pageProblem(made, bytes)).toBeUndefined();
  });
});

test('a segment that shares a large page with the one before is found', () => {
  const elf = makeElf({ variables: { offset: 8192, address: 0x400000 + 8192 } });
  expect(pageProblem(elf, 4096)).toBeUndefined();
  expect(pageProblem(elf, 16_384)).toBe('segments 0 and 1 share a page');
  expect(pageProblem(makeElf({ variables: { offset: kibi64 + 4096 } }), 16_384)).toContain('its offset');
});

test.each([
  ['no ELF at all', () => Buffer.alloc(100), 'expected ELF'],
  ['the last segment not writable', () => makeElf({ variables: { flags: 4 } }), 'to be writable'],
  ['no notes', () => makeElf({ note: { type: 0 } }), 'a segment of notes'],
  ['something behind the last segment', () => makeElf({ code: { offset: 2 * kibi64 } }), 'last in the file'],
  [
    'no fuse',
    () => Buffer.from(makeElf().toString('latin1').replace(fuse, ''), 'latin1'),
    'the mark of a Node',
  ],
])('%s is refused', (_, make, problem) => {
  expect(() => embedBlob(make(), Buffer.from('x'))).toThrow(problem);
});
