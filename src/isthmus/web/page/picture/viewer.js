/** A picture before and after, on one canvas: a line between both, a blend of both, zoom, and a map of what was changed. */

/** A picture file as a canvas; `preview` makes something that the browser can show of what it cannot (16-bit TIFF, ...). */
export async function pixelsOf(file, preview) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch (error) {
    if (!preview) throw error;
    bitmap = await createImageBitmap(await preview(file));
  }
  const canvas = canvasOf(bitmap.width, bitmap.height);
  context(canvas).drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

export function canvasOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

export const context = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

export const sameSize = (one, other) => Boolean(one && other && one.width === other.width && one.height === other.height);

const LARGEST = 32; // pixels of the screen for one of the picture
const SQUARE = 8; // of the checkerboard that shows through

export class Viewer {
  /** @param {HTMLCanvasElement} canvas where to draw. */
  constructor(canvas) {
    Object.assign(this, { canvas, before: null, after: null, mode: "compare", strength: 1, line: 0.5, held: false, overlay: null });
    this.fit();
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }

  /** Show a picture, with or without a result; the view stays where it was if the size does. */
  set(before, after) {
    const size = this.shown && { width: this.shown.width, height: this.shown.height };
    Object.assign(this, { before, after, change: null });
    if (!sameSize(size, this.shown)) this.fit();
    this.draw();
  }

  /** Fill what is around the canvas, with whole pixels: otherwise the browser would blur the picture. */
  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    Object.assign(this.canvas.style, { width: `${clientWidth}px`, height: `${clientHeight}px` });
    this.draw();
  }

  /** The picture whose pixels are the unit of the view. */
  get shown() { return this.after ?? this.before; }

  fit() { Object.assign(this, { scale: 0, x: 0.5, y: 0.5 }); }

  /** Pixels of the screen for one of the picture; a scale of 0 fits it in. */
  get factor() {
    const { clientWidth, clientHeight } = this.canvas;
    return this.scale || Math.min(clientWidth / this.shown.width, clientHeight / this.shown.height);
  }

  /** Where the picture lies on the canvas, in pixels of the screen: left, top, and how large one of its pixels is. */
  get place() {
    const { clientWidth, clientHeight } = this.canvas, { factor } = this;
    const [width, height] = [this.shown.width * factor, this.shown.height * factor];
    const left = width <= clientWidth ? (clientWidth - width) / 2 : clientWidth / 2 - this.x * width;
    const top = height <= clientHeight ? (clientHeight - height) / 2 : clientHeight / 2 - this.y * height;
    return { left, top, factor, width, height };
  }

  /** Whether there is more of the picture than the canvas shows. */
  get movable() {
    return this.shown && (this.place.width > this.canvas.clientWidth + 1 || this.place.height > this.canvas.clientHeight + 1);
  }

  /** The place in the picture before, in its pixels, of a point of the window. */
  toPicture({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect(), { left, top, factor } = this.place;
    const share = this.before.width / this.shown.width;
    return { x: ((clientX - box.left - left) / factor) * share, y: ((clientY - box.top - top) / factor) * share };
  }

  /** Zoom by a factor, such that what lies under a point of the window stays there. */
  zoom(by, clientX, clientY) {
    if (!this.shown) return;
    const box = this.canvas.getBoundingClientRect(), old = this.place;
    const [x, y] = [(clientX ?? box.left + box.width / 2) - box.left, (clientY ?? box.top + box.height / 2) - box.top];
    const [u, v] = [(x - old.left) / old.width, (y - old.top) / old.height];
    this.scale = 0;
    const smallest = Math.min(1, this.factor);
    this.scale = Math.min(LARGEST, Math.max(smallest, old.factor * by));
    const width = this.shown.width * this.scale, height = this.shown.height * this.scale;
    this.moveTo(u - (x - this.canvas.clientWidth / 2) / width, v - (y - this.canvas.clientHeight / 2) / height);
  }

  /** Show the picture at so many pixels of the screen for one of its own. */
  zoomTo(scale, clientX, clientY) { if (this.shown) this.zoom(scale / this.factor, clientX, clientY); }

  pan(right, down) {
    if (!this.shown) return;
    const { width, height } = this.place;
    this.moveTo(this.x - right / width, this.y - down / height);
  }

  /** Put a point of the picture, as shares of its sides, into the middle; the picture still covers the canvas where it can. */
  moveTo(x, y) {
    const [half, rest] = [this.canvas.clientWidth / 2 / (this.shown.width * this.factor), this.canvas.clientHeight / 2 / (this.shown.height * this.factor)];
    this.x = half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, x));
    this.y = rest >= 0.5 ? 0.5 : Math.min(1 - rest, Math.max(rest, y));
    this.draw();
  }

  /** Draw the line elsewhere: a share of the canvas's width. */
  setLine(share) {
    this.line = Math.min(1, Math.max(0, share));
    this.canvas.setAttribute("aria-valuenow", Math.round(100 * this.line));
    this.draw();
  }

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => { this.drawing = 0; this.drawNow(); });
  }

  drawNow() {
    const { canvas, before, after } = this, density = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    if (!before || !canvas.width) return;
    const paper = canvas.getContext("2d"), { left, top, width, height, factor } = this.place;
    const box = [Math.round(left * density), Math.round(top * density), width * density, height * density]; // whole pixels: sharp
    const smooth = factor < 2;
    if (this.mode === "change" && after) return paper.drawImage((this.change ??= changed(before, after)), ...box);
    this.put(paper, box, smooth, this.held || !after ? [[before, 1]] : this.layers(before, after));
    if (after && !this.held && this.mode === "compare") {
      const cut = Math.round(canvas.width * this.line);
      paper.save();
      paper.beginPath();
      paper.rect(0, 0, cut, canvas.height);
      paper.clip();
      paper.clearRect(0, 0, cut, canvas.height);
      this.put(paper, box, smooth, [[before, 1]]);
      paper.restore();
      handle(paper, cut, canvas.height, density);
    }
    this.overlay?.(paper, box, (box[2] / before.width));
  }

  /** What to lay over each other, each with its share. */
  layers(before, after) {
    return this.strength < 1 && sameSize(before, after) ? [[before, 1 - this.strength], [after, this.strength]] : [[after, 1]];
  }

  /** Lay pictures over a checkerboard; shares are added up, so that transparency is blended as well. */
  put(paper, [left, top, width, height], smooth, layers) {
    paper.fillStyle = (this.checks ??= checkerboard(paper));
    paper.fillRect(left, top, width, height);
    if (layers.length === 1) {
      paper.imageSmoothingEnabled = smooth;
      paper.drawImage(layers[0][0], left, top, width, height);
      return;
    }
    const { canvas } = this;
    if (!sameSize(this.sheet, canvas)) this.sheet = canvasOf(canvas.width, canvas.height);
    const sheet = this.sheet.getContext("2d");
    sheet.globalCompositeOperation = "source-over";
    sheet.clearRect(0, 0, canvas.width, canvas.height);
    sheet.globalCompositeOperation = "lighter";
    sheet.imageSmoothingEnabled = smooth;
    for (const [picture, share] of layers) {
      sheet.globalAlpha = share;
      sheet.drawImage(picture, left, top, width, height);
    }
    paper.drawImage(this.sheet, 0, 0);
  }
}

function handle(paper, x, height, density) {
  paper.fillStyle = "#ffffff";
  paper.fillRect(x - density, 0, 2 * density, height);
  paper.beginPath();
  paper.arc(x, height / 2, 14 * density, 0, 7);
  paper.fill();
  paper.fillStyle = "#1d2524";
  for (const side of [-1, 1]) {
    paper.beginPath();
    paper.moveTo(x + side * 9 * density, height / 2);
    paper.lineTo(x + side * 4 * density, height / 2 - 5 * density);
    paper.lineTo(x + side * 4 * density, height / 2 + 5 * density);
    paper.fill();
  }
}

function checkerboard(paper) {
  const tile = canvasOf(2 * SQUARE, 2 * SQUARE), sheet = tile.getContext("2d");
  sheet.fillStyle = "#ffffff";
  sheet.fillRect(0, 0, 2 * SQUARE, 2 * SQUARE);
  sheet.fillStyle = "#cccccc";
  for (const at of [0, SQUARE]) sheet.fillRect(at, at, SQUARE, SQUARE);
  return paper.createPattern(tile, "repeat");
}

const GAIN = 4; // so that small changes are seen

/** What was changed: red where it has become brighter, blue where darker, gray where nothing was. */
function changed(before, after) {
  const map = canvasOf(after.width, after.height), sheet = context(map);
  sheet.drawImage(before, 0, 0, map.width, map.height);
  const image = sheet.getImageData(0, 0, map.width, map.height), b = image.data, a = dataOf(after);
  for (let i = 0; i < a.length; i += 4) {
    const difference = GAIN * ((a[i] + a[i + 1] + a[i + 2]) - (b[i] + b[i + 1] + b[i + 2])) / 3;
    const amount = Math.min(127, Math.abs(difference));
    b[i] = difference > 0 ? 128 + amount : 128 - amount;
    b[i + 1] = 128 - amount;
    b[i + 2] = difference < 0 ? 128 + amount : 128 - amount;
    b[i + 3] = 255;
  }
  sheet.putImageData(image, 0, 0);
  return map;
}

export const dataOf = (canvas) => context(canvas).getImageData(0, 0, canvas.width, canvas.height).data;
