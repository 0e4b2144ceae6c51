/** What is drawn on a picture: with a brush, what is missing; with clicks, the colors of some places. */

import { canvasOf } from "./viewer.js";

const DAB = 0.012; // of the shorter side: the radius of a color's dot
const KEY_STEP = 0.02; // of the longer side

/** One layer of drawing for each picture, in the picture's own pixels. */
export class Brush {
  /**
   * @param {import("./viewer.js").Viewer} viewer the picture's view.
   * @param {() => void} changed called when something was drawn.
   */
  constructor(viewer, changed) {
    Object.assign(this, { viewer, changed, kind: "", active: false, size: 40, erases: false, color: "#c03020", cursor: null });
    viewer.overlay = (paper, box, factor) => this.draw(paper, box, factor);
  }

  /** Draw on a picture: `kind` is "mask", "hints", or "" for nothing. The drawing is kept in `drawings[kind]`. */
  use(kind, drawings) {
    Object.assign(this, { kind, drawings, cursor: null });
    this.active = this.active && Boolean(kind);
    this.viewer.draw();
  }

  get drawing() { return this.kind && this.drawings?.[this.kind]; }

  press(point) {
    const { before } = this.viewer;
    this.drawings[this.kind] ??= { canvas: canvasOf(before.width, before.height), steps: [], version: 0 };
    this.drawing.steps.push([]);
    this.drag(point, point);
  }

  drag(from, to) {
    this.drawing.steps.at(-1).push({ from, to, size: this.size, erases: this.erases, color: this.color });
    this.redraw(this.drawing.steps.at(-1).slice(-1));
  }

  lift() {
    this.drawing.version++;
    this.changed();
  }

  /** Move a cursor with the arrows, and draw there with Enter. */
  key(key) {
    const { before } = this.viewer, step = KEY_STEP * Math.max(before.width, before.height);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    this.cursor ??= { x: before.width / 2, y: before.height / 2 };
    if (moves[key]) {
      this.cursor = { x: this.cursor.x + moves[key][0], y: this.cursor.y + moves[key][1] };
      this.viewer.draw();
    } else if (key === "Enter") {
      this.press(this.cursor);
      this.lift();
    } else return false;
    return true;
  }

  undo() {
    if (!this.drawing?.steps.length) return;
    this.drawing.steps.pop();
    this.all();
  }

  clear() {
    if (!this.drawing) return;
    this.drawing.steps = [];
    this.all();
  }

  all() {
    const { canvas } = this.drawing;
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    this.redraw(this.drawing.steps.flat());
    this.lift();
  }

  redraw(strokes) {
    const sheet = this.drawing.canvas.getContext("2d"), shorter = Math.min(sheet.canvas.width, sheet.canvas.height);
    for (const { from, to, size, erases, color } of strokes) {
      sheet.globalCompositeOperation = erases && this.kind === "mask" ? "destination-out" : "source-over";
      if (this.kind === "hints") {
        const radius = Math.max(2, Math.round(DAB * shorter));
        sheet.fillStyle = color;
        if (from === to) sheet.fillRect(Math.round(to.x) - radius, Math.round(to.y) - radius, 2 * radius, 2 * radius);
        continue;
      }
      Object.assign(sheet, { strokeStyle: "#ffffff", lineWidth: Math.max(1, (size / 500) * shorter), lineCap: "round" });
      sheet.beginPath();
      sheet.moveTo(from.x, from.y);
      sheet.lineTo(to.x + 0.01, to.y);
      sheet.stroke();
    }
    this.viewer.draw();
  }

  /** Show what is drawn, over the picture on the screen. */
  draw(paper, [left, top, width, height], factor) {
    if (!this.active || !this.viewer.before) return;
    paper.save();
    if (this.drawing && this.kind === "mask") {
      paper.globalAlpha = 0.55;
      paper.drawImage(this.drawing.canvas, left, top, width, height);
    }
    for (const [{ to, color }] of this.kind === "hints" ? this.drawing?.steps ?? [] : []) {
      ring(paper, left + to.x * factor, top + to.y * factor, 7 * devicePixelRatio, color);
    }
    if (this.cursor) ring(paper, left + this.cursor.x * factor, top + this.cursor.y * factor, 10 * devicePixelRatio, "transparent");
    paper.restore();
  }

  /** What is drawn as a PNG: white where something is missing, or opaque where a color is set; null if there is nothing. */
  async file(kind, drawings) {
    const drawn = drawings[kind];
    if (!drawn?.steps.length) return null;
    if (kind === "hints") return toBlob(drawn.canvas);
    const mask = canvasOf(drawn.canvas.width, drawn.canvas.height), sheet = mask.getContext("2d");
    sheet.fillRect(0, 0, mask.width, mask.height);
    sheet.drawImage(drawn.canvas, 0, 0);
    return toBlob(mask);
  }
}

function ring(paper, x, y, radius, color) {
  paper.beginPath();
  paper.arc(x, y, radius, 0, 7);
  Object.assign(paper, { fillStyle: color, strokeStyle: "#000000", lineWidth: 4 });
  paper.fill();
  paper.stroke();
  Object.assign(paper, { strokeStyle: "#ffffff", lineWidth: 2 });
  paper.stroke();
}

const toBlob = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
