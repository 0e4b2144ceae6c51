/** Files that a visitor drops, pastes or chooses, and files that they take home. */

const PICTURES = /\.(png|apng|jpe?g|jpe|jfif|tiff?|webp|bmp|gif|p[pgbn]m|tga|jp2|avif|jxl|hei[cf]|dng|nef|cr[23]|arw|raf|orf|rw2|pef|srw)$/i;

let pasted = 0;

/** Part what isthmus may read from what it does not: {pictures: [{file, path}], others: [names]}. */
function parted(found) {
  const known = ({ file, path }) => PICTURES.test(path) || file.type.startsWith("image/");
  return { pictures: found.filter(known), others: found.filter((one) => !known(one)).map(({ path }) => path) };
}

/** Files of a file input, that of a folder with their paths. */
export function chosen(input) {
  const found = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = ""; // the same can be chosen again
  return parted(found);
}

/** What is dropped, folders with all that lies in them. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = entries.length ? (await Promise.all(entries.map(walk))).flat() : [...transfer.files].map((file) => ({ file, path: file.name }));
  return parted(found);
}

/** What is pasted: pictures that were copied have no names of their own. */
export function fromClipboard(transfer) {
  return parted([...transfer.files].map((file) => {
    const path = file.name === "image.png" ? `pasted-${++pasted}.png` : file.name;
    return { file: new File([file], path, { type: file.type }), path };
  }));
}

/** Take whatever is dropped anywhere in the window; without this, the browser would open the file and the work would be lost. */
export function takeDrops(take) {
  const carries = ({ dataTransfer }) => [...(dataTransfer?.types ?? [])].includes("Files");
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, (event) => {
      event.preventDefault();
      if (carries(event)) document.body.classList.add("dragging");
    });
  }
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (carries(event)) take(await dropped(event.dataTransfer));
  });
}

/** Take pictures that are pasted anywhere. */
export function takePastes(take) {
  addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    take(fromClipboard(event.clipboardData));
  });
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
  const taken = new Set();
  for (const { path, blob } of files) {
    const name = new TextEncoder().encode(unlike(path, taken));
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

/** A path that no other has: a number is added where one does. */
function unlike(path, taken) {
  const [, stem, end] = path.match(/^(.*?)(\.[^./]*)?$/s);
  let free = path;
  for (let count = 2; taken.has(free.toLowerCase()); count++) free = `${stem}-${count}${end ?? ""}`;
  taken.add(free.toLowerCase());
  return free;
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
