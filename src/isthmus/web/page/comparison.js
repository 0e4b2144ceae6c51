/** A picture before and after, on one canvas: a divider, zoom, and a map of what was changed. */

/** A picture file as a canvas; `preview` makes something that the browser can show of what it cannot (16-bit TIFF, ...). */
export async function pixelsOf(file, preview) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch (error) {
    if (!preview) throw error;
    bitmap = await createImageBitmap(await preview(file));
  }
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
  return canvas;
}

const data = (canvas) => canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height).data;

/** Peak signal-to-noise ratio of two pictures of 8 bits in dB; null where their sizes differ. */
export function psnr(one, other) {
  if (one.width !== other.width || one.height !== other.height) return null;
  const a = data(one), b = data(other);
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) for (let c = i; c < i + 3; c++) sum += (a[c] - b[c]) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / (0.75 * a.length)));
}

export class Comparison {
  constructor(canvas, divider) {
    Object.assign(this, { canvas, divider, mode: "compare", scale: 0, x: 0.5, y: 0.5 });
    divider.addEventListener("input", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(event.deltaY < 0 ? "in" : "out"); }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.dragged = event; });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.dragged) return;
      this.pan(event.clientX - this.dragged.clientX, event.clientY - this.dragged.clientY);
      this.dragged = event;
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.dragged = null; });
  }

  set(before, after) {
    const other = this.after && (this.after.width !== after.width || this.after.height !== after.height);
    Object.assign(this, { before, after, change: null });
    if (other) Object.assign(this, { scale: 0, x: 0.5, y: 0.5 });
    this.draw();
  }

  /** Pixels of the screen for one of the picture after; a scale of 0 fits it in. */
  get factor() {
    const { clientWidth, clientHeight } = this.canvas;
    return this.scale || Math.min(clientWidth / this.after.width, clientHeight / this.after.height);
  }

  zoom(how) {
    if (!this.after) return;
    this.scale = { in: this.factor * 1.5, out: this.factor / 1.5, fit: 0, one: 1 }[how];
    this.draw();
  }

  pan(right, down) {
    if (!this.after) return;
    this.x = Math.min(1, Math.max(0, this.x - right / (this.after.width * this.factor)));
    this.y = Math.min(1, Math.max(0, this.y - down / (this.after.height * this.factor)));
    this.draw();
  }

  key(event) {
    const step = 40;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const zooms = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "one" };
    if (moves[event.key]) this.pan(...moves[event.key]);
    else if (zooms[event.key]) this.zoom(zooms[event.key]);
    else return;
    event.preventDefault();
  }

  draw() {
    if (!this.after) return;
    const { canvas, before, after } = this;
    const density = devicePixelRatio;
    canvas.width = canvas.clientWidth * density;
    canvas.height = canvas.clientHeight * density;
    const context = canvas.getContext("2d");
    const factor = this.factor * density;
    const [width, height] = [after.width * factor, after.height * factor];
    const left = Math.round(width <= canvas.width ? (canvas.width - width) / 2 : canvas.width / 2 - this.x * width); // whole pixels: sharp
    const top = Math.round(height <= canvas.height ? (canvas.height - height) / 2 : canvas.height / 2 - this.y * height);
    context.imageSmoothingEnabled = factor < 2 * density;
    if (this.mode === "change") {
      context.drawImage(this.change ??= changed(before, after), left, top, width, height);
      return;
    }
    context.drawImage(after, left, top, width, height);
    const cut = (canvas.width * this.divider.value) / 1000;
    context.save();
    context.beginPath();
    context.rect(0, 0, cut, canvas.height);
    context.clip();
    context.fillStyle = "#808080";
    context.fillRect(0, 0, cut, canvas.height);
    context.drawImage(before, left, top, width, height);
    context.restore();
    context.fillStyle = "#ffffff";
    context.fillRect(cut - density, 0, 2 * density, canvas.height);
  }
}

const GAIN = 4; // so that small changes are seen

/** What was changed: red where it has become brighter, blue where darker, gray where nothing was. */
function changed(before, after) {
  const map = document.createElement("canvas");
  map.width = after.width;
  map.height = after.height;
  const context = map.getContext("2d");
  context.drawImage(before, 0, 0, map.width, map.height);
  const image = context.getImageData(0, 0, map.width, map.height), b = image.data, a = data(after);
  for (let i = 0; i < a.length; i += 4) {
    const difference = GAIN * ((a[i] + a[i + 1] + a[i + 2]) - (b[i] + b[i + 1] + b[i + 2])) / 3;
    const amount = Math.min(127, Math.abs(difference));
    b[i] = difference > 0 ? 128 + amount : 128 - amount;
    b[i + 1] = 128 - amount;
    b[i + 2] = difference < 0 ? 128 + amount : 128 - amount;
    b[i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return map;
}
