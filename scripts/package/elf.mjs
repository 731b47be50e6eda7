/**
 * Puts Node's blob of a single executable into a Node binary (ELF, 64 bit, little endian).
 *
 * `node --build-sea` does it too, but adds segments that are aligned to 4 KiB. The Raspberry Pi 5's kernel has pages of
 * 16 KiB, on which the first of them would lie over the end of the program's own variables. Here the last segment is
 * made longer instead, so every segment keeps the alignment (64 KiB on arm64) that the linker gave it. What only a
 * debugger needs is left out: a fifth of the file.
 */

const noteName = 'NODE_SEA_BLOB';
/** Node looks at the digit behind it: 1 means that there is a blob. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';
const segmentTypes = { load: 1, note: 4 };
const writable = 2;
const headerBytes = 56;
const at = {
  type: 0,
  flags: 4,
  offset: 8,
  address: 16,
  physical: 24,
  fileBytes: 32,
  memoryBytes: 40,
  align: 48,
};

/** The binary with the blob in it, ready to be started. Throws Error if the binary is not laid out as expected. */
export function embedBlob(elf, blob) {
  const segments = readSegments(elf);
  const loads = segments.filter(({ type }) => type === segmentTypes.load);
  const last = loads.at(-1);
  const note = segments.find(({ type }) => type === segmentTypes.note);
  expect(last !== undefined && (last.flags & writable) !== 0, 'its last loaded segment to be writable');
  expect(
    loads.every(({ offset, fileBytes }) => offset + fileBytes <= last.offset + last.fileBytes),
    'its last loaded segment to be the last in the file too',
  );
  expect(note !== undefined, 'a segment of notes');
  // Behind the zeroed variables, which must be zeros in the file now.
  const noteOffset = roundUp(last.offset + last.memoryBytes, 16);
  const record = noteRecord(blob);
  const output = Buffer.alloc(noteOffset + record.length);
  elf.copy(output, 0, 0, last.offset + last.fileBytes);
  record.copy(output, noteOffset);
  const bytes = output.length - last.offset;
  writeSegment(output, last, { fileBytes: bytes, memoryBytes: bytes });
  const address = last.address + (noteOffset - last.offset);
  const place = { offset: noteOffset, address, physical: address };
  writeSegment(output, note, { ...place, fileBytes: record.length, memoryBytes: record.length });
  forgetSections(output);
  lightFuse(output);
  return output;
}

/** Every program header, with where it stands. */
export function readSegments(elf) {
  expect(
    elf.subarray(0, 6).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1])),
    'ELF, 64 bit, little endian',
  );
  expect(elf.readUInt16LE(54) === headerBytes, `program headers of ${headerBytes} bytes`);
  const first = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => {
    const position = first + index * headerBytes;
    const number = (field) => Number(elf.readBigUInt64LE(position + at[field]));
    return {
      position,
      type: elf.readUInt32LE(position + at.type),
      flags: elf.readUInt32LE(position + at.flags),
      offset: number('offset'),
      address: number('address'),
      fileBytes: number('fileBytes'),
      memoryBytes: number('memoryBytes'),
      align: number('align'),
    };
  });
}

/** What a kernel whose pages have so many bytes could not load, in words; undefined if it can. */
export function pageProblem(elf, pageBytes) {
  const loads = readSegments(elf).filter(({ type }) => type === segmentTypes.load);
  for (const [index, { offset, address }] of loads.entries()) {
    if (offset % pageBytes !== address % pageBytes)
      return `segment ${index}: its offset does not fit its address`;
    const before = loads[index - 1];
    if (before === undefined) continue;
    const end = roundUp(before.address + before.memoryBytes, pageBytes);
    if (address - (address % pageBytes) < end) return `segments ${index - 1} and ${index} share a page`;
  }
  return undefined;
}

function noteRecord(blob) {
  const name = Buffer.from(`${noteName}\0`);
  const nameBytes = roundUp(name.length, 4);
  const record = Buffer.alloc(12 + nameBytes + roundUp(blob.length, 4));
  record.writeUInt32LE(name.length, 0);
  record.writeUInt32LE(blob.length, 4);
  name.copy(record, 12);
  blob.copy(record, 12 + nameBytes);
  return record;
}

function writeSegment(elf, { position }, fields) {
  for (const [field, value] of Object.entries(fields))
    elf.writeBigUInt64LE(BigInt(value), position + at[field]);
}

/** The section headers, which described what is left out; a loader never reads them. */
function forgetSections(elf) {
  elf.writeBigUInt64LE(0n, 40);
  elf.fill(0, 58, 64);
}

function lightFuse(elf) {
  const position = elf.indexOf(`${fuse}0`);
  expect(position >= 0, 'the mark of a Node that can be a single executable');
  expect(elf.indexOf(`${fuse}0`, position + 1) < 0, 'that mark once only');
  elf[position + fuse.length] = '1'.charCodeAt(0);
}

function roundUp(value, unit) {
  return Math.ceil(value / unit) * unit;
}

function expect(condition, what) {
  if (!condition) throw new Error(`node binary: expected ${what}`);
}
