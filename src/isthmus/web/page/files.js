/** Files that a visitor drops or chooses, and files that they take home. */

const PICTURES = /\.(png|jpe?g|jpe|jfif|tiff?|webp|bmp|gif|p[pgbn]m|tga|jp2|avif)$/i;

/** Files of a file input, that of a folder with their paths: [{file, path}], pictures only. */
export function chosen(input) {
  const found = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = ""; // the same can be chosen again
  return found.filter(({ path }) => PICTURES.test(path));
}

/** What is dropped, folders with all that lies in them: [{file, path}], pictures only. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = entries.length ? (await Promise.all(entries.map(walk))).flat() : [...transfer.files].map((file) => ({ file, path: file.name }));
  return found.filter(({ path }) => PICTURES.test(path));
}

async function walk(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path }];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(walk))).flat();
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function checksum(bytes) {
  let sum = ~0;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** A ZIP of files [{path, blob}], not compressed: pictures are already. Source: PKWARE's APPNOTE, 4.3. */
export async function zipped(files) {
  const parts = [], directory = [];
  let place = 0;
  for (const { path, blob } of files) {
    const name = new TextEncoder().encode(path);
    const sum = checksum(new Uint8Array(await blob.arrayBuffer()));
    const common = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [sum, 4], [blob.size, 4], [blob.size, 4], [name.length, 2], [0, 2]];
    parts.push(packed([[0x04034b50, 4], ...common]), name, blob);
    directory.push(packed([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [place, 4]]), name);
    place += 30 + name.length + blob.size;
  }
  const length = directory.reduce((sum, bytes) => sum + bytes.length, 0);
  const end = packed([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [length, 4], [place, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

function packed(fields) {
  const bytes = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let place = 0;
  for (const [value, size] of fields) {
    if (size === 2) bytes.setUint16(place, value, true);
    else bytes.setUint32(place, value, true);
    place += size;
  }
  return new Uint8Array(bytes.buffer);
}
