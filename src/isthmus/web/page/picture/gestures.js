/** Mouse, fingers and keys on a picture: the line is dragged, the picture moved and zoomed, the original seen while one holds. */

const NEAR = 24; // pixels of the screen within which the line is taken hold of
const MOVED = 4; // pixels from which a press is a drag
const HOLD_MS = 350;
const STEP = 0.02; // of the canvas, for the line
const PAN = 40; // pixels

/**
 * @param {import("./viewer.js").Viewer} viewer what is moved.
 * @param {{active: boolean, kind: string, press: Function, drag: Function, key: Function}} [brush] what is drawn with while it is active: a mask by
 *   dragging, a color by a click, so that the line can still be dragged.
 */
export function listen(viewer, brush) {
  const { canvas } = viewer, down = new Map();
  let action = "", start = null, timer = 0, grip = null;

  const lineAt = () => canvas.getBoundingClientRect().left + viewer.line * canvas.clientWidth;
  const moveLine = ({ clientX }) => viewer.setLine((clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth);
  const hold = (held) => { viewer.held = held; viewer.draw(); };

  /** Two fingers: how far apart, and the middle between them. */
  function fingers() {
    const [one, other] = [...down.values()];
    return {
      apart: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1,
      x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2,
    };
  }

  function begin(event) {
    if (brush?.active && brush.kind === "mask") return brush.press(viewer.toPicture(event)), "paint";
    timer = setTimeout(() => { action = "hold"; hold(true); }, HOLD_MS);
    return "press";
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!viewer.before || event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
    clearTimeout(timer);
    if (down.size === 2) [action, grip] = ["pinch", fingers()];
    else if (down.size === 1) [action, start] = [begin(event), event];
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    down.set(event.pointerId, event);
    if (action === "press" && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > MOVED) {
      clearTimeout(timer);
      const compares = viewer.after && viewer.mode === "compare";
      action = compares && (!viewer.movable || Math.abs(start.clientX - lineAt()) < NEAR) ? "line" : "pan";
    }
    if (action === "line") moveLine(event);
    else if (action === "pan") viewer.pan(event.clientX - last.clientX, event.clientY - last.clientY);
    else if (action === "paint") brush.drag(viewer.toPicture(last), viewer.toPicture(event));
    else if (action === "pinch" && down.size === 2) {
      const now = fingers();
      viewer.zoom(now.apart / grip.apart, now.x, now.y);
      viewer.pan(now.x - grip.x, now.y - grip.y);
      grip = now;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      clearTimeout(timer);
      if (viewer.held) hold(false);
      if (action === "press" && brush?.active && name === "pointerup") [action] = ["paint", brush.press(viewer.toPicture(event))]; // a color
      if (action === "paint" && !down.size) brush.lift();
      action = down.size ? "pan" : "";
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    viewer.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    if (brush?.active || !viewer.before) return;
    if (viewer.scale) { viewer.fit(); viewer.draw(); } else viewer.zoomTo(1, event.clientX, event.clientY);
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault()); // a finger holds to see the original

  const pans = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };
  const lines = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, Home: -1, End: 1 };
  const zooms = { "+": () => viewer.zoom(1.5), "=": () => viewer.zoom(1.5), "-": () => viewer.zoom(1 / 1.5), 1: () => viewer.zoomTo(1),
    0: () => { viewer.fit(); viewer.draw(); } };
  canvas.addEventListener("keydown", (event) => {
    if (!viewer.before || event.ctrlKey || event.metaKey || event.altKey) return;
    if (brush?.active && brush.key(event.key)) { /* it has moved or painted */ }
    else if (event.shiftKey && pans[event.key]) viewer.pan(...pans[event.key]);
    else if (lines[event.key]) viewer.setLine(viewer.line + lines[event.key]);
    else if (zooms[event.key]) zooms[event.key]();
    else if (event.key === " ") hold(true);
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") hold(false); });
  canvas.addEventListener("blur", () => hold(false));
}
